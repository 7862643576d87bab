//! Trees that are whole, and hostile ones.

use super::*;
use proptest::prelude::*;
use std::os::unix::fs::symlink;

fn tree() -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir().expect("temp dir");
    fs::create_dir_all(folder.path().join("sys/a")).expect("mkdir");
    fs::write(folder.path().join("sys/a/value"), " 42 \n").expect("write");
    let root = Root::at(folder.path()).expect("root");
    (folder, root)
}

#[test]
fn reads_and_lists() {
    let (_folder, root) = tree();
    assert_eq!(root.attribute("/sys/a/value").expect("value"), "42");
    assert_eq!(root.list("/sys").expect("list"), ["a"]);
    assert!(root.exists("/sys/a/value") && !root.exists("/sys/b"));
    assert!(root.attribute("/sys/b").expect_err("missing").is_missing());
    assert!(
        root.attribute("/sys/a/value/deeper")
            .expect_err("file as folder")
            .is_missing()
    );
    assert!(matches!(
        root.attribute("/sys/a"),
        Err(ReadError::NotAFile { .. })
    ));
    assert!(!root.is_system());
    assert!(Root::at(Path::new("/")).expect("system").is_system());
}

#[test]
fn links_stay_inside() {
    let (folder, root) = tree();
    let outside = tempfile::tempdir().expect("temp dir");
    fs::write(outside.path().join("secret"), "secret").expect("write");
    let top = folder.path();
    symlink(outside.path().join("secret"), top.join("absolute")).expect("link");
    symlink(
        "../../../../../../../../etc/hostname",
        top.join("sys/climb"),
    )
    .expect("link");
    symlink(outside.path(), top.join("folder")).expect("link");
    symlink("/sys/a/value", top.join("inside")).expect("link");
    symlink("a", top.join("sys/alias")).expect("link");
    assert!(
        root.attribute("/absolute")
            .expect_err("outside")
            .is_missing()
    );
    assert!(
        root.attribute("/sys/climb")
            .expect_err("outside")
            .is_missing()
    );
    assert!(
        root.attribute("/folder/secret")
            .expect_err("outside")
            .is_missing()
    );
    assert!(root.list("/folder").is_err());
    assert!(root.attribute("/../../../../../../etc/passwd").is_err());
    assert_eq!(root.attribute("/inside").expect("inside"), "42");
    assert_eq!(root.attribute("/sys/alias/value").expect("alias"), "42");
    assert_eq!(
        root.real_path("/sys/alias/value").expect("real"),
        "/sys/a/value"
    );
    assert_eq!(root.link_name("/sys/alias").expect("name"), "a");
}

#[test]
fn circles_end() {
    let (folder, root) = tree();
    symlink("loop", folder.path().join("loop")).expect("link");
    symlink("a/../b", folder.path().join("sys/b")).expect("link");
    assert!(
        root.attribute("/loop")
            .expect_err("circle")
            .to_string()
            .contains("circle")
    );
    assert!(root.list("/sys/b/c").is_err());
    assert!(!root.exists("/loop"));
    assert!(root.real_path("/loop").is_err());
}

#[test]
fn huge_files_and_pipes_are_refused() {
    let (folder, root) = tree();
    let huge = File::create(folder.path().join("huge")).expect("create");
    huge.set_len(1 << 40).expect("sparse");
    assert!(matches!(
        root.bytes("/huge", 100),
        Err(ReadError::TooLong { .. })
    ));
    let status = std::process::Command::new("mkfifo")
        .arg(folder.path().join("pipe"))
        .status()
        .expect("mkfifo");
    assert!(status.success());
    // Opening it would block for ever.
    assert!(matches!(
        root.attribute("/pipe"),
        Err(ReadError::NotAFile { .. })
    ));
    symlink("/dev/zero", folder.path().join("zero")).expect("link");
    assert!(root.attribute("/zero").is_err());
}

#[test]
fn cleans_text() {
    assert_eq!(clean(b"  QEMU \0\0", false), "QEMU");
    assert_eq!(clean(b"a\xffb\x1b[31m", false), "a\\xffb\\x1b[31m");
    assert_eq!(clean("Größe".as_bytes(), false), "Größe");
    assert_eq!(clean(b"a\nb\0c", false), "a\\x0ab\\x00c");
    assert_eq!(clean(b"a\nb\n", true), "a\nb");
    assert_ne!(clean(b"\xff", false), clean(b"\xfe", false));
}

#[test]
fn what_sets_the_direction_or_has_no_width_is_shown() {
    assert_eq!(
        clean("Del\u{202e}l\u{feff}".as_bytes(), false),
        "Del\\xe2\\x80\\xael\\xef\\xbb\\xbf"
    );
    let all = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
    let all = all.chain('\u{200b}'..='\u{200f}');
    for c in all.chain(['\u{61c}', '\u{2028}', '\u{2060}', '\u{feff}']) {
        assert!(
            steers(c) && !clean(c.to_string().as_bytes(), true).contains(c),
            "{c:?}"
        );
    }
    assert!(!"aß€東 -\u{a0}".chars().any(steers));
}

#[test]
fn a_folder_that_is_too_full_is_told_in_entries() {
    let (folder, root) = tree();
    for name in ["b", "c"] {
        fs::create_dir(folder.path().join("sys").join(name)).expect("mkdir");
    }
    assert_eq!(root.list_to_limit("/sys", 3).expect("as many").len(), 3);
    let error = root.list_to_limit("/sys", 2).expect_err("too many");
    assert!(
        error.to_string().starts_with("/sys: more than 2 entries"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn cleaned_text_cannot_steer_a_terminal(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!clean(&bytes, false).chars().any(steers));
        prop_assert!(!clean(&bytes, true).chars().any(|c| steers(c) && c != '\n' && c != '\t'));
    }

    #[test]
    fn any_path_stays_inside(path in "(/|\\.\\.|\\.|a|sys|value){0,12}") {
        let (_folder, root) = tree();
        if let Ok(real) = root.resolve(&path) {
            prop_assert!(real.starts_with(root.top.as_ref().expect("captured")));
        }
    }
}
