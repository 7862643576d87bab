//! Help for unit tests.

use crate::root::Root;

/// A captured tree with nothing in it; the folder lives as long as the first value.
pub(crate) fn empty_tree() -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir().expect("temp dir");
    let root = Root::at(folder.path()).expect("root");
    (folder, root)
}
