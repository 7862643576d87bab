//! What hypervisor and kernel are started with, in one place: `grub.cfg` (BIOS) and the configuration inside `xen.efi`
//! (UEFI) are made from it.
//!
//! Sources: Xen 4.20 `docs/misc/xen-command-line.pandoc` and `docs/misc/efi.pandoc`, `xen/common/efi/boot.c`,
//! `xen/arch/x86/setup.c`; Linux `Documentation/admin-guide/kernel-parameters.txt`.

use crate::boot_state::Console;
use crate::names;

/// Memory of dom0: 1 GiB and 5 percent of the machine's memory, 8 GiB at most. 4 GiB of memory give 1.2 GiB, 64 GiB
/// give 4.2 GiB, 140 GiB and more give 8 GiB.
///
/// A formula, because the same signed configuration serves every machine. `max:` also is the most that dom0 may ever
/// balloon to; the kernel keeps page structures for it, at most 110 MiB on the smallest machine. Autoballooning in the
/// toolstack has to be off with it (`autoballoon="off"` in xl.conf).
const DOM0_MEMORY: &str = "dom0_mem=1G+5%,max:8G";
/// Virtual processors of dom0: as many as the machine has, 16 at most, so that the others are the guests'. The bound is
/// a choice, not a measurement.
const DOM0_VCPUS: &str = "dom0_max_vcpus=1-16";
/// Microcode is searched in all modules: it comes as a cpio archive, in a module of its own on BIOS and in front of the
/// initrd inside `xen.efi`. A module chosen by its number would have to be a raw container.
const MICROCODE: &str = "ucode=scan";
/// Seconds that a boot of a host has, from the initrd on, until its health was looked at. Then the hypervisor restarts the
/// machine, and the loader counts a failed try. Health gives up waiting after six minutes
/// (`image-build/root/usr/lib/systemd/system/bedplate-health.service`); before it, a file system may be checked.
pub const WATCHDOG_SECONDS: u32 = 900;
/// Line settings of a serial port: what nearly every BMC and console server has.
const SERIAL: &str = "115200,8n1";
/// For a machine that does not come up otherwise: one processor, no deep sleep of it, no IOMMU, no microcode.
const SAFE: &str = "nosmp max_cstate=0 iommu=0";

/// Memory for the crash kernel, below 4 GiB where every device reaches it. Without a range in front of the size: Xen 4.20 misreads
/// `RANGE:SIZE,below=4G` and takes memory from above, where the crash kernel finds no room for its bounce buffers
/// (`parse_crashkernel` in xen/common/kexec.c).
const CRASH: &str = "crashkernel=192M,below=4G";
/// What dom0 says goes into the hypervisor's ring as well, so that a dump has the words of a kernel that crashed. The ring of
/// 16 KiB is too small for both (docs/misc/xen-command-line.pandoc).
const RING: &str = "console_to_ring conring_size=128k";

// Not here on purpose: `noreboot` (a panic has to reboot, or a failed try never ends), `sync_console` (slow). Not here yet: `watchdog`. It would reboot a hypervisor that hangs, but its NMI
// test and its timeout of 5 seconds were not tried, neither on hardware nor under slow emulation.

/// The command line of the hypervisor of a host.
pub fn xen_options(console: Console) -> String {
    let base = xen_options_of_medium(console);
    if console == Console::Safe {
        return base;
    }
    format!("{base} {CRASH} {RING}")
}

/// The command line of the hypervisor on a medium, where nothing loads a crash kernel.
pub fn xen_options_of_medium(console: Console) -> String {
    let console_options = match console {
        Console::Com1 | Console::Safe => format!("console=com1,vga com1={SERIAL}"),
        Console::Com2 => format!("console=com2,vga com2={SERIAL}"),
        Console::Vga => "console=vga".to_owned(),
    };
    let more = if console == Console::Safe {
        SAFE
    } else {
        MICROCODE
    };
    format!("{DOM0_MEMORY} {DOM0_VCPUS} {more} {console_options}")
}

/// The command line of dom0's kernel, without [`names::CMDLINE_ESP`], which the loader adds.
///
/// The last `console=` becomes /dev/console. hvc0 goes through the hypervisor to its serial port. `panic=10` reboots
/// ten seconds after a panic. `systemd.gpt_auto=no`: nothing is mounted because of its partition type.
pub fn dom0_options(console: Console) -> String {
    let consoles = match console {
        Console::Vga => "console=hvc0 console=tty0",
        Console::Com1 | Console::Com2 | Console::Safe => "console=tty0 console=hvc0",
    };
    // A graphics driver is one more thing that a machine in trouble can do without.
    let more = if console == Console::Safe {
        " nomodeset"
    } else {
        ""
    };
    format!(
        "{}=host {consoles} {COMMON} xen_wdt.timeout={WATCHDOG_SECONDS}{more}",
        names::CMDLINE_MODE
    )
}

/// The command line of the kernel on bare Linux, to find out why the hypervisor does not start.
pub fn rescue_options(console: Console) -> String {
    let consoles = bare_consoles(console);
    let more = if console == Console::Safe {
        " nomodeset"
    } else {
        ""
    };
    format!("{}=rescue {consoles} {COMMON}{more}", names::CMDLINE_MODE)
}

/// The command line of the crash kernel on a host whose ESP has the PARTUUID `esp`, and whose hypervisor has its console at `ring`
/// ([`names::CMDLINE_CONSOLE_RING`]).
///
/// One processor, because the others were stopped where they were; `reset_devices`, because nobody told the devices (Linux
/// `Documentation/admin-guide/kdump/kdump.rst`). Whatever hangs or goes wrong ends in a panic, and that in a restart.
pub fn crash_options(console: Console, esp: &str, ring: Option<&str>) -> String {
    let mut options = format!(
        "{}={} {}={esp} {} nr_cpus=1 reset_devices panic=10 oops=panic softlockup_panic=1 hung_task_panic=1 loglevel=4",
        names::CMDLINE_MODE,
        names::MODE_CRASH,
        names::CMDLINE_ESP,
        bare_consoles(console)
    );
    if let Some(ring) = ring {
        options += &format!(" {}={ring}", names::CMDLINE_CONSOLE_RING);
    }
    options
}

/// Consoles of a kernel that runs without the hypervisor.
fn bare_consoles(console: Console) -> &'static str {
    match console {
        Console::Com1 | Console::Safe => "console=tty0 console=ttyS0,115200n8",
        Console::Com2 => "console=tty0 console=ttyS1,115200n8",
        Console::Vga => "console=tty0",
    }
}

/// Options of every kernel that runs from a slot. `loglevel=4`: a serial console is slow, and what is not an error is in the
/// journal. `systemd.import_credentials=no`: SMBIOS and fw_cfg could otherwise add users, keys and units, which nobody signed
/// (systemd.system-credentials(7)).
const COMMON: &str = "systemd.gpt_auto=no systemd.import_credentials=no panic=10 loglevel=4";

/// The configuration for the section `.config` of `xen.efi`: one section for each [`Console`], `com1` where the loader
/// names none.
///
/// Kernel and initrd are sections of the same file, so that the file names in here are never looked at; `kernel=` has to be there because it carries the options. Xen drops everything behind a `#`, and a last line
/// without an end.
pub fn xen_efi_config() -> String {
    let mut text = format!("[global]\ndefault={}\n", Console::default().name());
    for console in Console::ALL {
        let (xen, dom0) = (xen_options(console), dom0_options(console));
        text += &format!(
            "\n[{}]\noptions={xen}\nkernel=vmlinuz {dom0}\nramdisk=initrd.img\n",
            console.name()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_stops_a_reboot_or_breaks_the_configuration() {
        for console in Console::ALL {
            for line in [
                xen_options(console),
                dom0_options(console),
                rescue_options(console),
                crash_options(console, "uuid", Some("1,2,3")),
            ] {
                assert!(!line.contains("noreboot"), "{line}");
                // `#` starts a comment, ` -- ` ends Xen's options, `;` and quotes mean something to GRUB.
                assert!(
                    !line.contains(['#', ';', '"', '\'', '\\', '$', '{', '\n']),
                    "{line}"
                );
                assert!(!line.contains(" -- ") && !line.contains("  "), "{line}");
            }
            assert!(dom0_options(console).contains(" panic=10"));
        }
    }

    /// Looks a value up as `get_value` of xen/common/efi/boot.c does.
    fn value<'a>(config: &'a str, section: &str, item: &str) -> Option<&'a str> {
        let mut lines = config
            .lines()
            .skip_while(|l| *l != format!("[{section}]"))
            .skip(1);
        lines
            .by_ref()
            .take_while(|l| !l.starts_with('['))
            .find_map(|l| l.strip_prefix(item)?.strip_prefix('='))
    }

    #[test]
    fn every_section_is_complete() {
        let config = xen_efi_config();
        assert!(config.ends_with('\n') && config.is_ascii());
        let default = value(&config, "global", "default").unwrap();
        assert!(value(&config, default, "kernel").is_some());
        for console in Console::ALL {
            let get = |item| value(&config, console.name(), item).unwrap();
            assert_eq!(get("options"), xen_options(console));
            assert_eq!(
                get("kernel").split_once(' ').unwrap().1,
                dom0_options(console)
            );
            assert!(!get("ramdisk").is_empty());
        }
    }

    #[test]
    fn consoles_differ_where_they_should() {
        assert!(xen_options(Console::Com2).contains("console=com2,vga com2=115200,8n1"));
        assert!(!xen_options(Console::Vga).contains("com1"));
        assert!(dom0_options(Console::Com1).contains("console=tty0 console=hvc0 "));
        assert!(rescue_options(Console::Com2).contains("ttyS1"));
        assert!(
            xen_options(Console::Safe).contains("nosmp")
                && !xen_options(Console::Safe).contains("ucode")
        );
    }

    #[test]
    fn a_crash_kernel_has_memory_but_where_every_feature_is_left_out() {
        for console in Console::ALL {
            let has = xen_options(console).contains(" crashkernel=192M,below=4G ");
            assert_eq!(has, console != Console::Safe);
        }
        let line = crash_options(Console::Com2, "uuid", Some("1,2,3"));
        assert!(
            line.starts_with("bedplate.mode=crash bedplate.esp=uuid "),
            "{line}"
        );
        assert!(line.contains(" console=ttyS1,115200n8 "), "{line}");
        assert!(line.ends_with(" bedplate.console-ring=1,2,3"), "{line}");
        assert!(!crash_options(Console::Vga, "uuid", None).contains("ring"));
    }
}
