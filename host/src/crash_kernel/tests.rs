use super::*;
use crate::local::boot_of;
use steps::RecordingSystem;

/// See `release/src/boot_signature.rs`.
const KEY: &[u8] = include_bytes!("../../../release/tests/boot-signature/boot-files.der");
const SIGNATURE: &[u8] = include_bytes!("../../../release/tests/boot-signature/kernel.sig");

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
    let without = |options: &str| {
        RecordingSystem::new()
            .strict()
            .prints("kexec --print-ckr-size", "0\n")
            .prints(
                "xl info",
                &format!("host : x\nxen_commandline : dom0_mem=1G{options} console=com1\n"),
            )
    };
    let places = Places::default();
    assert_eq!(load(&without(""), &places), Ok(Loaded::NoMemory));
    // Told to, and without room for it.
    let error = load(&without(" crashkernel=192M,below=4G"), &places).unwrap_err();
    assert!(error.contains("has none"), "{error}");
}

#[test]
fn what_kexec_does_not_say_is_an_error() {
    let system = RecordingSystem::new().prints("kexec --print-ckr-size", "lots\n");
    let error = load(&system, &Places::default()).unwrap_err();
    assert!(error.contains("`lots`"), "{error}");
}

/// A host whose kernel and initrd are the word that was signed.
fn host(kernel: &str) -> RecordingSystem {
    let boot = boot_of("0.1.0", "/dev/sda3");
    let folder = Places::default().boot_files(boot.root.id());
    RecordingSystem::new()
        .prints("kexec --print-ckr-size", "201326592\n")
        .prints("findmnt", "0c1d\n")
        .file(
            "/run/bedplate/boot.json",
            serde_json::to_vec(&boot).unwrap(),
        )
        .file(
            "/proc/xen/xensyms",
            "a1 d conring\na2 d conring_size\na3 b conringp\n",
        )
        .file(folder.join("vmlinuz"), kernel)
        .file(folder.join("vmlinuz.sig"), SIGNATURE)
        .file(folder.join("initrd.img"), "kernel")
        .file(folder.join("initrd.img.sig"), SIGNATURE)
        .file(BOOT_FILES_KEY, KEY)
}

#[test]
fn what_was_checked_is_what_is_loaded_and_does_not_stay_in_memory() {
    let system = host("kernel");
    let loaded = load(&system, &Places::default());
    assert_eq!(loaded, Ok(Loaded::Yes { with_console: true }));
    let lines = system.command_lines();
    let kexec = lines
        .iter()
        .find(|line| line.contains("--load-panic"))
        .unwrap();
    assert!(
        kexec.contains("--initrd=/run/bedplate/crash-kernel/initrd.img")
            && kexec.contains("bedplate.mode=crash bedplate.esp=0c1d ")
            && kexec.contains("bedplate.console-ring=a1,a2,a3")
            && kexec.ends_with(" /run/bedplate/crash-kernel/vmlinuz"),
        "{kexec}"
    );
    let last = lines.last().unwrap();
    assert!(
        last.starts_with("rm ") && last.ends_with("/run/bedplate/crash-kernel"),
        "{last}"
    );
}

#[test]
fn a_changed_boot_file_is_named_and_not_loaded() {
    let system = host("kernal");
    let error = load(&system, &Places::default()).unwrap_err();
    assert!(
        error.contains("/vmlinuz: it is not what the release was signed with")
            && error.contains("It is not loaded"),
        "{error}"
    );
    let lines = system.command_lines();
    assert!(
        !lines.iter().any(|line| line.contains("--load-panic")),
        "{lines:?}"
    );
}
