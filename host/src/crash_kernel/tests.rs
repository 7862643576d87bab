use super::*;
use slots::{BootRecord, Mode, RootIdentity, Verity};
use steps::RecordingSystem;

#[test]
fn the_ring_is_found_by_its_names_alone() {
    let symbols = "ffff82d040200000 T _start\nffff82d0405a0008 d console.c#conring\n\
        ffff82d0405a0010 d conring_size\nffff82d0405b1000 b console.c#conringc\nffff82d0405b1004 b console.c#conringp\n";
    assert_eq!(
        ring(symbols).as_deref(),
        Some("ffff82d0405a0008,ffff82d0405a0010,ffff82d0405b1004")
    );
    assert_eq!(ring(&symbols.replace("conringp", "other")), None);
    assert_eq!(ring("x y conring\n1 2 conring_size\n3 4 conringp"), None);
    assert_eq!(ring(""), None);
}

#[test]
fn without_memory_nothing_is_loaded_or_read() {
    let system = RecordingSystem::new()
        .strict()
        .prints("kexec --print-ckr-size", "0\n");
    assert_eq!(load(&system, &Places::default()), Ok(Loaded::NoMemory));
    assert_eq!(system.command_lines(), ["kexec --print-ckr-size"]);
}

#[test]
fn what_kexec_does_not_say_is_an_error() {
    let system = RecordingSystem::new().prints("kexec --print-ckr-size", "lots\n");
    let error = load(&system, &Places::default()).unwrap_err();
    assert!(error.contains("`lots`"), "{error}");
}

/// That good files are taken is shown by every end-to-end case that boots a host.
#[test]
fn a_changed_boot_file_is_named_and_not_loaded() {
    let root = RootIdentity {
        version: "0.1.0".into(),
        image_name: "x.root.img".into(),
        image_size: 8192,
        image_sha256: "a".repeat(64),
        verity: Verity {
            data_blocks: 1,
            salt: String::new(),
            root_hash: "a".repeat(64),
        },
    };
    let id = root.id().to_owned();
    let record = BootRecord {
        mode: Mode::Host,
        root,
        root_device: "/dev/sda3".into(),
        medium: None,
        state_device: None,
        mirror: None,
        root_opened_ms: 1,
        warnings: Vec::new(),
    };
    let places = Places::default();
    let folder = places.boot_files(&id);
    let system = RecordingSystem::new()
        .prints("kexec --print-ckr-size", "201326592\n")
        .file(
            "/run/bedplate/boot.json",
            serde_json::to_vec(&record).unwrap(),
        )
        .file(folder.join("vmlinuz"), "kernel")
        .file(folder.join("vmlinuz.sig"), "no signature")
        .file(BOOT_FILES_KEY, "no key");
    let error = load(&system, &places).unwrap_err();
    assert!(
        error.contains("/vmlinuz: its signature is none") && error.contains("It is not loaded"),
        "{error}"
    );
    assert_eq!(system.command_lines(), ["kexec --print-ckr-size"]);
}
