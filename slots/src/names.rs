//! Names that the boot loader, the initrd, the installer and the host agree on.

/// Partition name (GPT) of the EFI system partition. Holds the boot files of both slots, also on BIOS machines.
pub const PART_ESP: &str = "bedplate-esp";
/// Partition name of the BIOS boot partition (GRUB's core image).
pub const PART_BIOS: &str = "bedplate-bios";
/// Partition name of slot A.
pub const PART_SLOT_A: &str = "bedplate-a";
/// Partition name of slot B.
pub const PART_SLOT_B: &str = "bedplate-b";
/// Partition name of the state partition.
pub const PART_STATE: &str = "bedplate-state";
/// Partition name of the local storage repository (an LVM physical volume).
pub const PART_STORAGE: &str = "bedplate-sr";

/// Partition name that the state partition of a disk gets which was set aside: both halves of a mirror ran alone, and the
/// other one was kept. Nothing takes it for the state of a host any more.
pub const PART_ASIDE: &str = "bedplate-aside";

/// FAT volume label of the ESP (11 characters at most, and never `BEDPLATE`, which is the answer volume's).
pub const ESP_LABEL: &str = "BP-ESP";
/// ext4 label of the state partition.
pub const STATE_LABEL: &str = "bedplate-state";
/// LVM volume group of the local storage repository.
pub const STORAGE_VG: &str = "bedplate";
/// In a volume group whose storage repository keeps files: the logical volume with their file system.
pub const STORAGE_FILES_LV: &str = "files";
/// On the host: where the file systems of such storage repositories are mounted, each in a folder of its name.
pub const STORAGE_FILES: &str = "/srv/storage";
/// Name of the storage repository on the disk of the host.
pub const LOCAL_STORAGE: &str = "local";
/// Filesystem label that marks a volume with an answer file `answers.toml` in its root.
pub const ANSWER_LABEL: &str = "BEDPLATE";
/// Volume identifiers of the ISO start with this (ISO 9660 d-characters), followed by the version.
pub const ISO_LABEL_PREFIX: &str = "BEDPLATE_";

/// Kernel command line key: `live`, `host` or `rescue`. Absent: the initrd stops.
pub const CMDLINE_MODE: &str = "bedplate.mode";
/// The fourth value of [`CMDLINE_MODE`]: the kernel that runs after a crash. It boots nothing, and so is no [`crate::Mode`].
pub const MODE_CRASH: &str = "crash";
/// Command line key of the crash kernel: the hypervisor's addresses of `conring`, `conring_size` and `conringp` as hexadecimal
/// numbers with commas between them.
pub const CMDLINE_CONSOLE_RING: &str = "bedplate.console-ring";
/// Kernel command line key: where the answers are (`embedded`, a URL, a device path, or where to ask for a URL: `dhcp`, `dns`, `discover`).
pub const CMDLINE_ANSWERS: &str = "bedplate.answers";
/// Kernel command line key: SHA-256 of the public key that a server of answers must have, `sha256//BASE64=`.
pub const CMDLINE_ANSWERS_PIN: &str = "bedplate.answers-pin";
/// Kernel command line key: the public key that must have signed answers from a network, 64 hexadecimal digits.
pub const CMDLINE_ANSWERS_KEY: &str = "bedplate.answers-key";
/// Kernel command line key: the hash of the only plan that may be carried out.
pub const CMDLINE_EXPECT_PLAN: &str = "bedplate.expect-plan";
/// Kernel command line key: PARTUUID of the ESP that the loader came from; decides between several installs.
pub const CMDLINE_ESP: &str = "bedplate.esp";

/// Where the release repository lies on the ISO, from its root.
pub const ISO_REPOSITORY: &str = "bedplate/repository";
/// The embedded answer area on the ISO, from its root: see `image-build embed`.
pub const ISO_ANSWERS: &str = "bedplate/answers.bin";
/// In the initrd: the [`crate::RootIdentity`] as JSON.
pub const INITRD_IDENTITY: &str = "/bedplate/root.json";

/// In the running system: the [`crate::BootRecord`] as JSON, written by the initrd.
pub const BOOT_RECORD: &str = "/run/bedplate/boot.json";
/// In a host: the node of the hypervisor's watchdog. The initrd loads no other watchdog's driver before it, so that it is
/// the first.
pub const WATCHDOG: &str = "/dev/watchdog0";
/// In a host on two disks: the ESP that belongs to this boot, by a rule for udev that the initrd leaves at [`ESP_RULE`].
pub const ESP_LINK: &str = "/dev/bedplate/esp";
/// The rule that makes [`ESP_LINK`]. Behind `60-persistent-storage.rules`, which reads the PARTUUID.
pub const ESP_RULE: &str = "/run/udev/rules.d/61-bedplate-esp.rules";
/// In the live system: the root of the medium (mounted, or its copy in memory).
pub const LIVE_MEDIUM: &str = "/run/bedplate/medium";
/// In the running system: mount point of the state file system (tmpfs in the live system).
pub const STATE_MOUNT: &str = "/state";
/// In the folder of a root below `etc` on state: a file with the short name of the root whose /etc it starts with.
pub const ETC_FROM: &str = "from";
/// On the host: records and files of hotfixes.
pub const HOTFIX_STORE: &str = "/var/lib/bedplate/hotfix";
/// In [`HOTFIX_STORE`]: the folder with the [`crate::RootIdentity`] of each root that was good on this host, as `ID.json`.
pub const GOOD_ROOTS: &str = "roots";
/// On the state file system: the overlays of /etc, one folder for each root.
pub const ETC_OVERLAYS: &str = "etc";
/// On the ESP: the boot files, one folder for each root.
pub const BOOT_FOLDER: &str = "bedplate";
/// On the state file system: the folder of the hooks that wait for the first boot.
pub const FIRST_BOOT_HOOKS: &str = "bedplate/first-boot";
/// On the state file system: the report about the hooks of the first boot.
pub const FIRST_BOOT_REPORT: &str = "bedplate/install/first-boot.json";
/// Folders of the state file system, where they are in the host, and where the root image has what they hold at first; in the
/// order of mounting.
pub const STATE_FOLDERS: [(&str, &str, &str); 6] = [
    ("var", "/var", FACTORY_VAR),
    ("root", "/root", "/root"),
    ("home", "/home", "/home"),
    ("opt", "/opt", "/opt"),
    ("srv", "/srv", "/srv"),
    ("usr-local", "/usr/local", "/usr/local"),
];
/// Options of the overlay over /etc besides its folders. The features that are switched off tie the upper folder to one lower
/// file system, and a hotfix brings another.
pub const ETC_OVERLAY_OPTIONS: &str = "index=off,metacopy=off,redirect_dir=off,xino=off";
/// In the root image: the public TUF root that signs releases.
pub const TRUSTED_ROOT: &str = "/usr/share/bedplate/root.json";
/// GRUB for UEFI, from the root of the ESP: Bedplate's own place, which its entry in the firmware's list names.
pub const EFI_VENDOR: &str = "EFI/bedplate/grubx64.efi";
/// The same, where firmware looks that has no entry for the disk (UEFI 2.10, section 3.5.1.1).
pub const EFI_FALLBACK: &str = "EFI/BOOT/BOOTX64.EFI";
/// [`EFI_VENDOR`] as firmware writes paths.
pub const EFI_VENDOR_PATH: &str = r"\EFI\bedplate\grubx64.efi";
/// What the entry in the firmware's list is called.
pub const EFI_LABEL: &str = "Bedplate";
/// In the root image: the boot loaders of the release, by which a host that runs it brings those on its disks up to date.
pub const BOOT_LOADERS: &str = "/usr/lib/bedplate/boot";
/// On the state file system: what was done with the boot loaders.
pub const LOADER_RECORD: &str = "bedplate/loaders.json";
/// In the root image: signed contents of the EFI variables db, KEK and PK, as `NAME.auth`.
pub const SECURE_BOOT_KEYS: &str = "/usr/share/bedplate/secure-boot";
/// In the root image: the public key that boot files are signed with for GRUB, DER (PKCS #1).
pub const BOOT_FILES_KEY: &str = "/usr/share/bedplate/secure-boot/boot-files.der";
/// In the root image: the services of the host, each a link to `xe` beside it, which behaves as the program that it is called
/// by.
pub const XE_LINKS: [&str; 5] = [
    "bedplate-crash-kernel",
    "bedplate-health",
    "bedplate-license",
    "bedplate-mirror",
    "bedplate-update",
];
/// On the host: where dumps of crashes are.
pub const CRASHES: &str = "/var/crash";
/// In the root image: the pristine content of /var, copied to state where absent.
pub const FACTORY_VAR: &str = "/usr/share/factory/var";
