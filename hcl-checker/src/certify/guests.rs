//! Test guests under Xen: one of each kind starts and is heard.

use super::guest_program::{HELLO, heard};
use super::{Bench, Change, Outcome, TestError, initrd};
use crate::facts::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use steps::{Command, System};

/// How long a guest may take until it is heard: emulated machines are slow.
const PATIENCE: Duration = Duration::from_secs(180);
/// Seconds of listening at a time: so long Ctrl-C waits.
const LISTEN: u64 = 2;
/// `timeout` ends with this code when the time was up (coreutils).
const TIME_IS_UP: i32 = 124;

/// Kinds of guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuestKind {
    /// Paravirtualized.
    Pv,
    /// Paravirtualized in a hardware container.
    Pvh,
    /// Hardware virtualized, with emulated devices.
    Hvm,
}

impl GuestKind {
    /// As `xl` spells it; the guest's kernel writes it in capitals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pv => "pv",
            Self::Pvh => "pvh",
            Self::Hvm => "hvm",
        }
    }
}

/// The kernel that runs here, as a file that a guest can boot.
pub(super) fn find_kernel(system: &dyn System, facts: &Facts) -> Option<PathBuf> {
    let release = facts.kernel_release.value()?;
    let usual = [
        format!("/boot/vmlinuz-{release}"),
        format!("/usr/lib/modules/{release}/vmlinuz"),
        format!("/lib/modules/{release}/vmlinuz"),
    ];
    let usual = usual
        .iter()
        .map(PathBuf::from)
        .find(|path| system.exists(path));
    // A Bedplate host has its boot files on the ESP, in a folder for each release.
    let folder = Path::new("/boot/efi/bedplate");
    usual.or_else(|| {
        let names = system.list_dir(folder).ok()?;
        let kernels = names.iter().map(|name| folder.join(name).join("vmlinuz"));
        kernels.filter(|path| system.exists(path)).find(|path| {
            let image = system.read_file(path).unwrap_or_default();
            version(&image).is_some_and(|version| version == release)
        })
    })
}

/// Release of a kernel image: at 0x20e is where its text starts, counted from 0x200 (Documentation/arch/x86/boot.rst).
fn version(image: &[u8]) -> Option<&str> {
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let start = usize::from(u16::from_le_bytes(
        image.get(0x20e..0x210)?.try_into().ok()?,
    )) + 0x200;
    let text = image.get(start..)?;
    let end = text
        .iter()
        .take(256)
        .position(|byte| matches!(byte, 0 | b' '))?;
    std::str::from_utf8(&text[..end]).ok()
}

fn config(kind: GuestKind, name: &str, kernel: &Path, ramdisk: &Path) -> String {
    let devices = match kind {
        GuestKind::Pv | GuestKind::Pvh => "",
        // The emulated machine needs no screen.
        GuestKind::Hvm => "vnc = 0\nnographic = 1\n",
    };
    format!(
        "name = \"{name}\"\ntype = \"{}\"\nkernel = \"{}\"\nramdisk = \"{}\"\n\
         extra = \"console=hvc0 quiet -- test-guest 600\"\nmemory = 256\nvcpus = 1\n\
         on_poweroff = \"destroy\"\non_reboot = \"destroy\"\non_crash = \"destroy\"\n{devices}",
        kind.name(),
        kernel.display(),
        ramdisk.display(),
    )
}

/// Starts a guest and listens to it. It is destroyed after the test.
pub(super) fn run(
    bench: &mut Bench<'_>,
    kind: GuestKind,
    kernel: &Path,
) -> Result<Outcome, TestError> {
    let mut outcome = Outcome::new();
    let name = format!("hcl-checker-{}", kind.name());
    let ramdisk = bench.folder.join("guest.cpio");
    let file = bench.folder.join(format!("guest-{}.cfg", kind.name()));
    for path in [&ramdisk, &file] {
        bench.change(Change::File { path: path.clone() })?;
    }
    bench
        .system
        .write_file(&ramdisk, &initrd::build()?, 0o600)?;
    let text = config(kind, &name, kernel, &ramdisk);
    bench.system.write_file(&file, text.as_bytes(), 0o600)?;

    bench.change(Change::Guest { name: name.clone() })?;
    let start = Instant::now();
    let create = Command::new("xl").arg("create").arg(&file);
    bench.system.run(&create.timeout(PATIENCE))?;
    let domain = bench
        .system
        .run(&Command::new("xl").args(["domid", &name]))?
        .text();
    let console = console_of(bench, &domain)?;
    let (text, kind_heard) = listen(bench, &console, start)?;
    let took = start.elapsed();
    bench.keep("console.txt", text.as_bytes())?;

    let wanted = kind.name().to_uppercase();
    outcome.measured(
        "the guest's own kernel says",
        kind_heard.clone().unwrap_or_else(|| "nothing".to_owned()),
        wanted.clone(),
        format!("console of {name}"),
    );
    if let Some(line) = text.lines().find(|line| line.contains(HELLO)) {
        outcome.measured(
            "its first words",
            line.trim(),
            "",
            format!("console of {name}"),
        );
    }
    outcome.measured(
        "from `xl create` to its words",
        format!("{}.{} s", took.as_secs(), took.subsec_millis() / 100),
        "",
        "this program",
    );
    match kind_heard {
        Some(heard) => outcome.expect(heard == wanted, || {
            format!("the guest came up as {heard} instead of {wanted}")
        }),
        None => outcome.fail(format!(
            "nothing was heard from the guest within {} s",
            PATIENCE.as_secs()
        )),
    }
    Ok(outcome)
}

/// The terminal of a guest's console, as soon as xenconsoled made it.
fn console_of(bench: &mut Bench<'_>, domain: &str) -> Result<String, TestError> {
    let key = format!("/local/domain/{domain}/console/tty");
    let ask = Command::new("xenstore-read")
        .arg(key.as_str())
        .also_good(&[1]);
    for _ in 0..100 {
        let terminal = bench.system.run(&ask)?.text();
        if terminal.starts_with("/dev/") {
            return Ok(terminal);
        }
        bench.wait(Duration::from_millis(100))?;
    }
    Err(TestError::Trouble(format!(
        "{key}: the guest has no console"
    )))
}

/// Listens until the guest said what it is, or patience ends. `xl console` ends with its input, so the terminal is read.
fn listen(
    bench: &mut Bench<'_>,
    console: &str,
    start: Instant,
) -> Result<(String, Option<String>), TestError> {
    let seconds = LISTEN.to_string();
    let read = Command::new("timeout").args([seconds.as_str(), "cat", console]);
    // 1: a guest that ended took its terminal along.
    let read = read.also_good(&[TIME_IS_UP, 1]);
    let mut text = String::new();
    while start.elapsed() < PATIENCE {
        bench.go_on()?;
        bench.progress(start.elapsed().as_secs(), PATIENCE.as_secs());
        let output = bench.system.run(&read)?;
        text.push_str(&String::from_utf8_lossy(&output.stdout));
        if let Some(kind) = heard(&text) {
            let kind = kind.to_owned();
            return Ok((text, Some(kind)));
        }
        if output.code == 1 {
            break;
        }
    }
    Ok((text, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::Known;
    use steps::RecordingSystem;

    fn image(release: &str) -> Vec<u8> {
        let mut image = vec![0; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x300 + release.len()].copy_from_slice(release.as_bytes());
        image
    }

    #[test]
    fn the_kernel_that_runs_is_found_among_several_releases() {
        let mut facts = Facts::default();
        let system = RecordingSystem::new();
        assert_eq!(
            find_kernel(&system, &facts),
            None,
            "its release is not known"
        );
        facts.kernel_release = Known::Value("6.12.2-amd64".to_owned());
        let system = system
            .file(
                "/boot/efi/bedplate/aaaa/vmlinuz",
                image("6.12.1-amd64 (x@y) #1"),
            )
            .file(
                "/boot/efi/bedplate/bbbb/vmlinuz",
                image("6.12.2-amd64 (x@y) #1"),
            );
        let found = find_kernel(&system, &facts);
        assert_eq!(
            found,
            Some(PathBuf::from("/boot/efi/bedplate/bbbb/vmlinuz"))
        );
        let system = system.file("/boot/vmlinuz-6.12.2-amd64", "x");
        let found = find_kernel(&system, &facts);
        assert_eq!(found, Some(PathBuf::from("/boot/vmlinuz-6.12.2-amd64")));
    }

    #[test]
    fn damaged_images_have_no_version() {
        for length in [0, 0x203, 0x20f, 0x210, 0x300] {
            assert_eq!(version(&image("6.12 x")[..length]), None, "{length}");
        }
        let mut far = image("6.12 x");
        far[0x20e..0x210].copy_from_slice(&0xffff_u16.to_le_bytes());
        assert_eq!(version(&far), None);
    }
}
