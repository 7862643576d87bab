//! What lies beside a report, as it was made and changed.

use super::*;
use std::path::Path;

const LOG: &str = "log-kernel.log";

/// The folder of a run, as `certify` leaves it, with the bytes of the report.
fn folder() -> (tempfile::TempDir, Vec<u8>) {
    let mut state = state(facts());
    state.evidence.push(Evidence::of(LOG, b"<6>[ 0.0] Linux\n"));
    let program = Path::new("/proc/self/exe");
    let report =
        Report::of_run(&state, &list(), None, &key(), Serials::Hashed, program).expect("report");
    let bytes = report.to_bytes().expect("bytes");
    let folder = tempfile::tempdir().expect("temp dir");
    let write = |name: &str, content: &[u8]| {
        std::fs::write(folder.path().join(name), content).expect("write");
    };
    std::fs::create_dir(folder.path().join("evidence")).expect("folder");
    write(REPORT_FILE, &bytes);
    write(HTML_FILE, html(&report, &bytes).as_bytes());
    write(&format!("evidence/{LOG}"), b"<6>[ 0.0] Linux\n");
    // Its name is an address, which the report has as a hash.
    write(&format!("evidence/{}.txt", SECRETS[4]), b"raw");
    (folder, bytes)
}

/// What is wrong and what is remarked of the files, besides whose signature it is.
fn told(folder: &Path, bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    let verified = verify(
        bytes,
        &key().sign(bytes),
        &list(),
        &VerifyOptions::default(),
    );
    let before = verified.notes.len();
    let mut verified = verified.with_beside(bytes, &Beside::read(&folder.join(REPORT_FILE)));
    (verified.problems, verified.notes.split_off(before))
}

#[test]
fn the_folder_of_a_run_holds() {
    let (folder, bytes) = folder();
    assert_eq!(told(folder.path(), &bytes), (vec![], vec![]));
}

#[test]
fn changed_evidence_and_another_page_are_named() {
    let (folder, bytes) = folder();
    let log = folder.path().join("evidence").join(LOG);
    std::fs::write(&log, "<6>[ 0.0] Linux\n ").expect("write");
    let (problems, notes) = told(folder.path(), &bytes);
    assert_eq!(
        problems,
        [format!(
            "evidence/{LOG}: it was changed, its SHA-256 is not that of the report"
        )]
    );
    assert_eq!(notes, Vec::<String>::new());

    let (folder, bytes) = self::folder();
    let page = folder.path().join(HTML_FILE);
    let mut text = std::fs::read_to_string(&page).expect("page");
    text = text.replace("Passed", "Failed");
    std::fs::write(&page, text).expect("write");
    let (problems, _) = told(folder.path(), &bytes);
    assert!(
        problems.len() == 1 && problems[0].starts_with("report.html: it is not the page"),
        "{problems:?}"
    );

    let (folder, bytes) = self::folder();
    let secret = folder.path().join(format!("evidence/{}.txt", SECRETS[4]));
    std::fs::write(&secret, "other").expect("write");
    let (problems, notes) = told(folder.path(), &bytes);
    assert!(
        problems.len() == 1 && problems[0].contains("does not name it, or it was changed"),
        "{problems:?}"
    );
    assert!(
        notes.len() == 1 && notes[0].contains("not there"),
        "{notes:?}"
    );
}

#[test]
fn what_is_not_there_is_a_remark() {
    let (folder, bytes) = folder();
    std::fs::remove_file(folder.path().join(HTML_FILE)).expect("remove");
    std::fs::remove_file(folder.path().join("evidence").join(LOG)).expect("remove");
    std::fs::write(folder.path().join("evidence/README"), "x").expect("write");
    // Nobody waits for what a pipe has.
    let pipe = folder.path().join("evidence/pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("pipe");
    let (problems, notes) = told(folder.path(), &bytes);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        notes,
        [
            format!("evidence/{LOG}: not there, so not compared"),
            "evidence/README: the report does not name it".to_owned(),
            "evidence/pipe: the report does not name it".to_owned(),
        ]
    );
    std::fs::remove_dir_all(folder.path().join("evidence")).expect("remove");
    assert_eq!(
        told(folder.path(), &bytes),
        (
            vec![],
            vec![
                "evidence: this folder is not beside the report, so its 2 files are not compared"
                    .to_owned()
            ]
        )
    );
}

#[test]
fn the_page_of_another_version_is_not_compared() {
    let (folder, bytes) = folder();
    let mut changed: Value = serde_json::from_slice(&bytes).expect("JSON");
    changed["tool"]["version"] = serde_json::json!("0.0.1");
    let bytes = to_canonical(&changed).expect("canonical");
    let (problems, notes) = told(folder.path(), &bytes);
    assert_eq!(problems, Vec::<String>::new());
    assert!(notes.len() == 1 && notes[0].contains("0.0.1"), "{notes:?}");
}
