//! `grub.cfg` of installed hosts: the same bytes on every host, which is why it can be signed with the release.
//!
//! What differs between hosts is in the environment block ([`crate::boot_state`]), and which disk this is GRUB finds
//! out by itself. Under Secure Boot GRUB takes it from its own image and not from the disk ([`embedded_files`]). The script cannot count and has no error handling worth the name; every rule of
//! [`crate::BootState::choice`] is spelled out in it, and what it cannot read or record it does not act on.

use crate::boot_options::{dom0_options, rescue_options, xen_options};
use crate::boot_state::{Console, ID_LEN, MAX_TRIES};
use crate::names;

/// GRUB modules that the configuration and the disk need, for both platforms. GRUB's images must have them built in:
/// nothing is loaded from the ESP.
pub const MODULES: &[&str] = &[
    "boot",
    "configfile",
    "echo",
    "fat",
    "gzio",
    "linux",
    "loadenv",
    "minicmd",
    "multiboot2",
    "normal",
    "part_gpt",
    "probe",
    "reboot",
    "regexp",
    "search",
    "serial",
    "sleep",
    "terminal",
    "test",
];
/// Modules that only the BIOS image needs (and has).
pub const MODULES_BIOS: &[&str] = &["biosdisk"];
/// Modules that only the UEFI images need (and have). Most of them check signatures or read the memory disk
/// ([`embedded_files`]); `setjmp` is what [`PE_LOADER`] needs.
pub const MODULES_EFI: &[&str] = &[
    "chain",
    "efi_gop",
    "gcry_rsa",
    "gcry_sha256",
    "memdisk",
    "newc",
    "pgp",
    "setjmp",
];
/// What the UEFI image of an installed host has beyond that. `bli` leaves the PARTUUID of the ESP that GRUB came from in an
/// EFI variable, by which the initrd knows the disk: nothing inside of the signed `xen.efi` could name it. A medium may
/// have no partition, and `bli` complains about that on the screen.
pub const MODULES_EFI_HOST: &[&str] = &["bli"];

/// Where the configuration lies, from the root of the ESP.
pub const GRUB_CFG: &str = "grub/grub.cfg";

/// Its name, also in [`names::BOOT_LOADERS`].
pub const GRUB_CFG_FILE: &str = "grub.cfg";

/// A module that lies in the memory disk of the UEFI images: with it GRUB starts EFI programs itself, where the firmware would
/// start none that db does not know. The kernel is such a one, and GRUB has checked it.
pub const PE_LOADER: &str = "peimage";
/// The word that loads it, and only under Secure Boot: without it the firmware's loader is as good as ever.
pub const LOAD_PE_LOADER: &str = "if [ \"$lockdown\" = y ]; then insmod (memdisk)/peimage.mod; fi";

/// With UEFI there is no text mode, and GRUB gives Xen the largest mode that the firmware knows (2048x2048 in OVMF), whether a
/// screen shows it or not. Every screen and every management controller shows this one.
pub const XEN_SCREEN: &str =
    "if [ \"$grub_platform\" = efi ]; then set gfxpayload='1024x768,800x600,auto'; fi";

/// What a UEFI image runs before anything else; GRUB's parser of that moment knows neither conditions nor `export`. The command
/// line and the editor of entries are a superuser's, and nobody is that one.
pub const EARLY_CFG: &str = "set superusers=nobody\nnormal (memdisk)/grub.cfg\n";

/// Text files of the memory disk of a UEFI image whose configuration is `locked`: what runs first, and that configuration. They
/// are signed with the image, and so need no signature of their own.
///
/// Under Secure Boot GRUB sets `lockdown` and the built-in key has every file checked; then the configuration in the image
/// counts. Otherwise the one on the disk or medium does, nothing is checked, and whoever is at the console may edit entries.
pub fn embedded_files(locked: &str) -> [(&'static str, String); 2] {
    let first = "export superusers\n\
        if [ \"$lockdown\" = y ]; then\n  source (memdisk)/locked.cfg\n\
        else\n  unset superusers\n  set check_signatures=no\n  source $prefix/grub.cfg\nfi\n";
    [
        ("grub.cfg", first.to_owned()),
        ("locked.cfg", locked.to_owned()),
    ]
}

/// The text of `grub.cfg`.
pub fn grub_cfg() -> String {
    [head(), choose(), record(), boot(), rescue(), menu()].join("\n")
}

/// Lines that also show the menu on serial port `unit`, as GRUB counts them from 0, and take keys from it.
pub fn serial_terminal(unit: &str) -> String {
    format!(
        r#"# With UEFI, the firmware knows which screens and serial lines there are, and the same characters written to a port
# behind its back would come twice. With BIOS, the serial port is used where there is one.
if [ "$grub_platform" = pc ]; then
  if serial --unit={unit} --speed=115200; then
    terminal_input --append serial
    terminal_output --append serial
  fi
fi
"#
    )
}

/// Terminals, and the state.
fn head() -> String {
    format!(
        r#"# Bedplate: made by the installer, the same on every host. What differs is in state.env; changes here are lost.

# Reads the variables of a block. Only the listed ones: the file is not signed, and must not set root or prefix.
if load_env --skip-sig -f $prefix/state.env good try tries previous console; then
  echo -n
else
  echo "state.env cannot be read: booting the last good system."
  set good=
fi

# Ids that are no ids count as absent: they become parts of file names.
{good}
{try_}
{previous}
# An unreadable block boots the last good: the second block names it.
if [ -z "$good" -a -z "$try" ]; then
  if [ -f $prefix/good.env ]; then
    load_env --skip-sig -f $prefix/good.env good console
  fi
  {good}
fi

if [ "$console" != com2 -a "$console" != vga -a "$console" != safe ]; then
  set console=com1
fi

if [ "$console" != vga ]; then
  set bp_unit=0
  if [ "$console" = com2 ]; then
    set bp_unit=1
  fi
{serial}fi

# Which of several installed disks this is: the initrd takes the state partition beside this ESP.
if probe --set=bp_partuuid --part-uuid $root; then
  set bp_esp={esp}=$bp_partuuid
fi

# What the administrator adds to the command lines. Nothing signs that block, so it does not count where signatures do.
set bp_xen=
set bp_dom0=
if [ "$lockdown" != y -a "$check_signatures" != enforce -a -f $prefix/options.env ]; then
  load_env --skip-sig -f $prefix/options.env bp_xen bp_dom0
fi
"#,
        serial = serial_terminal("$bp_unit"),
        good = valid_id("good"),
        try_ = valid_id("try"),
        previous = valid_id("previous"),
        esp = names::CMDLINE_ESP,
    )
}

fn valid_id(variable: &str) -> String {
    format!(
        "if regexp '^[0-9a-f]{{{ID_LEN}}}$' \"${variable}\"; then echo -n; else set {variable}=; fi"
    )
}

/// Which root, and its version for the menu.
fn choose() -> String {
    let mut counts = String::new();
    for n in (1..=MAX_TRIES).rev() {
        let word = if n == MAX_TRIES { "if" } else { "elif" };
        counts += &format!("{word} [ \"$tries\" = {n} ]; then set bp_left={}\n", n - 1);
    }
    format!(
        r#"# Tries that are left after this one, empty when there is none.
set bp_left=
{counts}fi
if [ -z "$try" ]; then
  set bp_left=
fi

# For other consoles: the good root, else the one under trial. Only somebody at the console takes these.
set bp_main=$good
if [ -z "$bp_main" ]; then
  set bp_main=$try
fi

# For the rescue entry: the good root, else any that is there.
set bp_any=
for bp_id in $good $previous $try; do
  if [ -z "$bp_any" -a -f /bedplate/$bp_id/vmlinuz ]; then
    set bp_any=$bp_id
  fi
done
if [ -z "$bp_any" ]; then
  for bp_dir in /bedplate/*; do
    if [ -f $bp_dir/vmlinuz ]; then
      regexp --set=1:bp_any '^/bedplate/([0-9a-f]{{{ID_LEN}}})$' $bp_dir
    fi
  done
fi

function bp_version {{
  set version=$1
  if [ -f /bedplate/$1/release.env ]; then
    load_env --skip-sig -f /bedplate/$1/release.env version
  fi
}}
"#
    )
}

/// Takes a try.
fn record() -> String {
    r#"# Records the try before it is made. A try that could not be recorded is not taken: it could never end.
function bp_record {
  set bp_id=$good
  set tries=$bp_left
  if save_env -f $prefix/state.env tries; then
    set tries=
    if load_env --skip-sig -f $prefix/state.env tries; then
      if [ "$tries" = "$bp_left" ]; then
        set bp_id=$try
      fi
    fi
  fi
  if [ "$bp_id" != "$try" ]; then
    echo "The try cannot be recorded: booting the last good system."
  fi
}
"#
    .to_owned()
}

/// Boots a root under the hypervisor.
fn boot() -> String {
    let mut bios = String::new();
    let mut others = Console::ALL
        .into_iter()
        .filter(|c| *c != Console::default())
        .collect::<Vec<_>>();
    // Last and without a condition, so that there always is one that fits.
    others.push(Console::default());
    for (i, console) in others.iter().enumerate() {
        let (xen, dom0) = (xen_options(*console), dom0_options(*console));
        // The safe mode is the way back from an addition that does harm.
        let (add_xen, add_dom0) = match console {
            Console::Safe => ("", ""),
            _ => (" $bp_xen", " $bp_dom0"),
        };
        let condition = match (i, *console == Console::default()) {
            (_, true) => "else".to_owned(),
            (0, false) => format!("if [ \"$2\" = {} ]; then", console.name()),
            (_, false) => format!("elif [ \"$2\" = {} ]; then", console.name()),
        };
        bios += &format!(
            "      {condition}\n        multiboot2 /bedplate/$1/xen.gz {xen}{add_xen}\n        module2 /bedplate/$1/vmlinuz {dom0} $bp_esp{add_dom0}\n"
        );
    }
    format!(
        r#"# Boots root $1 with console $2. Nothing is loaded unless everything is there: half a system would start and hang.
#
# UEFI: xen.efi takes one word, the section of its built-in configuration (get_argv in xen/common/efi/boot.c, 4.20: the first
# word is skipped as the name of the image). It takes no further options, so that nobody can give a signed one any; what an
# administrator adds goes to the parts that it is made of, as with BIOS.
#
# The order of the modules counts. Xen takes the first one for the kernel and the next one for the initrd; the microcode is
# found by its content. --nounzip: both are for the kernel and for Xen to unpack.
function bp_boot {{
  set bp_joined=
  if [ "$grub_platform" = efi ]; then
    if [ "$2" = safe -o -z "$bp_xen$bp_dom0" ]; then set bp_joined=y; fi
  fi
  if [ -n "$bp_joined" ]; then
    if [ -f /bedplate/$1/xen.efi ]; then
      chainloader /bedplate/$1/xen.efi xen.efi $2
    else
      echo "/bedplate/$1/xen.efi is missing."
    fi
  else
    if [ -f /bedplate/$1/xen.gz -a -f /bedplate/$1/vmlinuz -a -f /bedplate/$1/initrd.img -a -f /bedplate/$1/ucode.img ]; then
      {XEN_SCREEN}
{bios}      fi
      module2 --nounzip /bedplate/$1/initrd.img
      module2 --nounzip /bedplate/$1/ucode.img
    else
      echo "A file of /bedplate/$1 is missing."
    fi
  fi
}}
"#
    )
}

/// Boots a root on bare Linux.
fn rescue() -> String {
    let line = |console| {
        format!(
            "linux /bedplate/$1/vmlinuz {} $bp_esp",
            rescue_options(console)
        )
    };
    format!(
        r#"# Boots root $1 on bare Linux with console $2. Microcode comes first: the kernel looks for it only there.
function bp_rescue {{
  if [ -f /bedplate/$1/vmlinuz -a -f /bedplate/$1/initrd.img -a -f /bedplate/$1/ucode.img ]; then
    {LOAD_PE_LOADER}
    if [ "$2" = com2 ]; then
      {com2}
    elif [ "$2" = vga ]; then
      {vga}
    elif [ "$2" = safe ]; then
      {safe}
    else
      {com1}
    fi
    initrd /bedplate/$1/ucode.img /bedplate/$1/initrd.img
  else
    echo "A file of /bedplate/$1 is missing."
  fi
}}
"#,
        com1 = line(Console::Com1),
        com2 = line(Console::Com2),
        vga = line(Console::Vga),
        safe = line(Console::Safe),
    )
}

/// The entries. Variables are read when an entry runs, in a context that knows only exported ones.
fn menu() -> String {
    let mut consoles = String::new();
    for (console, title) in [
        (
            Console::Com1,
            "Console: first serial port (com1) and screen",
        ),
        (
            Console::Com2,
            "Console: second serial port (com2) and screen",
        ),
        (Console::Vga, "Console: screen only"),
        (
            Console::Safe,
            "Safe mode: one processor, no IOMMU, no microcode",
        ),
    ] {
        let name = console.name();
        consoles += &format!(
            "    menuentry \"{title}\" --unrestricted --id {name} {{ bp_boot $bp_main {name} }}\n"
        );
    }
    format!(
        r#"export good try tries previous console bp_esp bp_xen bp_dom0 bp_left bp_any bp_main
set timeout=3
set timeout_style=menu
set default=0
# What is booted when an entry cannot be loaded: the next one, and so on, up to the rescue entry. Numbers only, and only
# of entries that exist: GRUB does not check them.
set fallback=
set bp_n=
function bp_next {{
  if [ -z "$bp_n" ]; then set bp_n=0
  elif [ "$bp_n" = 0 ]; then set bp_n=1; set fallback="1"
  elif [ "$bp_n" = 1 ]; then set bp_n=2; set fallback="1 2"
  else set bp_n=3; set fallback="1 2 3"
  fi
}}

if [ -n "$bp_left" ]; then
  bp_next
  bp_version $try
  menuentry "Bedplate $version (new, on trial)" --unrestricted --id try {{
    bp_record
    if [ -n "$bp_id" ]; then bp_boot $bp_id $console; else bp_rescue $bp_any $console; fi
  }}
fi
if [ -n "$good" ]; then
  bp_next
  bp_version $good
  menuentry "Bedplate $version" --unrestricted --id good {{ bp_boot $good $console }}
fi
if [ -n "$previous" -a "$previous" != "$good" ]; then
  bp_next
  bp_version $previous
  menuentry "Bedplate $version (previous)" --unrestricted --id previous {{ bp_boot $previous $console }}
fi
bp_next
if [ -n "$bp_any" ]; then
  menuentry "Rescue: this system on bare Linux, with ssh" --unrestricted --id rescue {{ bp_rescue $bp_any $console }}
else
  menuentry "No Bedplate found on this disk. Boot the installation medium to repair it." --unrestricted --id none {{ sleep 60; reboot }}
fi
# Behind the rescue entry, so that nothing takes it by itself: a new host whose tries are used up. What kept it from coming
# up may be mended by now, and health makes it good then.
if [ -z "$good" -a -n "$try" -a -z "$bp_left" ]; then
  bp_version $try
  menuentry "Bedplate $version (did not come up yet)" --unrestricted --id again {{ bp_boot $try $console }}
fi
if [ -n "$bp_main" ]; then
  submenu "Other consoles and safe mode" --unrestricted --id consoles {{
{consoles}  }}
fi
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// `grub-script-check`: the installed one, or the one of the tools root, started with the libraries of that root.
    fn script_check() -> Option<Command> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let installed = std::env::split_paths(&path)
            .map(|dir| dir.join("grub-script-check"))
            .find(|p| p.is_file());
        if let Some(program) = installed {
            return Some(Command::new(program));
        }
        let tools = tools();
        let program = tools.join("usr/bin/grub-script-check");
        let mut command = Command::new(tools.join("lib64/ld-linux-x86-64.so.2"));
        command
            .arg("--library-path")
            .arg(tools.join("usr/lib/x86_64-linux-gnu"))
            .arg(&program);
        program.is_file().then_some(command)
    }

    fn tools() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools")
    }

    #[test]
    fn grub_accepts_the_script() {
        if script_check().is_none() {
            println!(
                "SKIPPED: no grub-script-check in PATH (Debian package grub-common) nor in target/tools"
            );
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grub.cfg");
        let check = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let output = script_check().unwrap().arg(&path).output().unwrap();
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
        };
        assert_eq!(check(&grub_cfg()), (true, String::new()));
        for (name, text) in embedded_files(&grub_cfg()) {
            assert_eq!(check(&text), (true, String::new()), "{name}");
        }
        // The check must be able to fail, and for the right reason.
        let (accepted, message) = check(&grub_cfg().replacen("\nfi\n", "\n", 1));
        assert!(!accepted && message.contains("syntax error"), "{message}");
    }

    #[test]
    fn every_module_exists_where_it_is_said_to() {
        let dir = tools().join("usr/lib/grub");
        if !dir.is_dir() {
            println!("SKIPPED: no GRUB modules in target/tools (image-build makes it)");
            return;
        }
        let efi = [MODULES_EFI, MODULES_EFI_HOST, &[PE_LOADER]].concat();
        for (platform, own) in [("i386-pc", MODULES_BIOS), ("x86_64-efi", &efi)] {
            for module in MODULES.iter().chain(own) {
                let path = dir.join(platform).join(format!("{module}.mod"));
                assert!(path.is_file(), "{} is missing", path.display());
            }
        }
    }

    #[test]
    fn nothing_in_it_belongs_to_one_host() {
        let text = grub_cfg();
        assert_eq!(text, grub_cfg());
        assert!(text.is_ascii() && text.ends_with("fi\n"));
        // Every use of an id is a variable.
        let hex_run = text
            .split(|c: char| !matches!(c, '0'..='9' | 'a'..='f'))
            .any(|run| run.len() >= ID_LEN);
        assert!(!hex_run, "an id is written into the configuration");
    }

    #[test]
    fn the_word_that_loads_the_loader_of_programs_names_its_module() {
        assert!(LOAD_PE_LOADER.contains(&format!("insmod (memdisk)/{PE_LOADER}.mod;")));
    }

    /// Nothing that lies unsigned on the disk is read as anything but a list of variables that are named.
    #[test]
    fn what_is_not_signed_can_only_set_named_variables() {
        let text = grub_cfg();
        let unsigned: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("--skip-sig"))
            .map(|line| {
                line.trim()
                    .trim_start_matches("if ")
                    .trim_end_matches("; then")
            })
            .collect();
        assert_eq!(
            unsigned,
            [
                "load_env --skip-sig -f $prefix/state.env good try tries previous console",
                "load_env --skip-sig -f $prefix/good.env good console",
                "load_env --skip-sig -f $prefix/options.env bp_xen bp_dom0",
                "load_env --skip-sig -f /bedplate/$1/release.env version",
                "load_env --skip-sig -f $prefix/state.env tries",
            ]
        );
        assert!(!text.contains("eval") && !text.contains("source") && !text.contains("configfile"));
    }

    /// With a superuser, an entry without this asks for a password that nobody has.
    #[test]
    fn every_entry_can_be_taken_by_everybody() {
        for line in grub_cfg().lines().map(str::trim) {
            if line.starts_with("menuentry ") || line.starts_with("submenu ") {
                assert!(line.contains(" --unrestricted "), "{line}");
            }
        }
    }

    #[test]
    fn every_number_of_tries_is_counted_down() {
        let text = grub_cfg();
        for n in 1..=MAX_TRIES {
            let line = format!("[ \"$tries\" = {n} ]; then set bp_left={}\n", n - 1);
            assert_eq!(text.matches(&line).count(), 1, "{line}");
        }
        assert!(!text.contains(&format!("\"$tries\" = {}", MAX_TRIES + 1)));
        assert!(!text.contains("\"$tries\" = 0"));
    }

    #[test]
    fn the_hypervisor_gets_the_options_of_its_console() {
        let text = grub_cfg();
        for console in Console::ALL {
            // What an administrator added may be why the safe mode is needed.
            let (add_xen, add_dom0) = match console {
                Console::Safe => ("", ""),
                _ => (" $bp_xen", " $bp_dom0"),
            };
            let xen = format!(
                "multiboot2 /bedplate/$1/xen.gz {}{add_xen}\n",
                xen_options(console)
            );
            let dom0 = format!(
                "module2 /bedplate/$1/vmlinuz {} $bp_esp{add_dom0}\n",
                dom0_options(console)
            );
            let at = text.find(&format!("{xen}        {dom0}")).unwrap();
            let condition = text[..at].trim_end().lines().last().unwrap().trim();
            match console == Console::default() {
                true => assert_eq!(condition, "else"),
                false => assert!(
                    condition.ends_with(&format!("if [ \"$2\" = {} ]; then", console.name()))
                ),
            }
        }
    }
}
