//! What a release consists of.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the target that holds the [`Manifest`] as JSON.
pub const MANIFEST: &str = "release.json";

/// The parts of a release. Each is one TUF target, named as [`Artifact::target_name`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Artifact {
    /// `root.img`: squashfs followed by its dm-verity hash tree.
    Root,
    /// `vmlinuz`: the kernel of dom0 and of the live system.
    Kernel,
    /// `initrd.img`: opens the root; carries its root hash. Without microcode.
    Initrd,
    /// `ucode.img`: microcode for Intel and AMD as an early cpio archive.
    Microcode,
    /// `xen.gz`: the hypervisor for multiboot2.
    Xen,
    /// `xen.efi`: hypervisor, configuration, kernel and initrd joined in one signable file.
    XenEfi,
    /// `grub-bios-boot.img`: GRUB's 512-byte MBR boot sector (`boot.img`).
    GrubBiosBoot,
    /// `grub-bios-core.img`: GRUB's core image for the BIOS boot partition.
    GrubBiosCore,
    /// `grubx64.efi`: GRUB for UEFI.
    GrubEfi,
    /// `vmlinuz.sig`: signature of the kernel for GRUB, which checks it under Secure Boot.
    KernelSignature,
    /// `initrd.img.sig`: likewise of the initrd.
    InitrdSignature,
    /// `ucode.img.sig`: likewise of the microcode.
    MicrocodeSignature,
    /// `xen.gz.sig`: likewise of the hypervisor for multiboot2.
    XenSignature,
    /// `xen.efi.sig`: likewise of the joined file, which is signed for the firmware besides.
    XenEfiSignature,
    /// `packages.json`: package list, name to version.
    Packages,
    /// `sbom.cdx.json`: software bill of materials, CycloneDX: packages, crates, where each came from.
    Sbom,
}

/// Boot files of a root: artifact and name in its folder `/bedplate/<id>/` on the ESP. The joined file comes behind those that
/// it is made from. GRUB looks for the signature of a file beside it.
pub const BOOT_FILES: [(Artifact, &str); 9] = [
    (Artifact::Xen, "xen.gz"),
    (Artifact::Kernel, "vmlinuz"),
    (Artifact::Initrd, "initrd.img"),
    (Artifact::Microcode, "ucode.img"),
    (Artifact::XenEfi, "xen.efi"),
    (Artifact::KernelSignature, "vmlinuz.sig"),
    (Artifact::InitrdSignature, "initrd.img.sig"),
    (Artifact::MicrocodeSignature, "ucode.img.sig"),
    (Artifact::XenEfiSignature, "xen.efi.sig"),
];

impl Artifact {
    /// All artifacts, in the order in which they are listed and verified.
    pub const ALL: [Artifact; 16] = [
        Artifact::Root,
        Artifact::Kernel,
        Artifact::Initrd,
        Artifact::Microcode,
        Artifact::Xen,
        Artifact::XenEfi,
        Artifact::GrubBiosBoot,
        Artifact::GrubBiosCore,
        Artifact::GrubEfi,
        Artifact::KernelSignature,
        Artifact::InitrdSignature,
        Artifact::MicrocodeSignature,
        Artifact::XenSignature,
        Artifact::XenEfiSignature,
        Artifact::Packages,
        Artifact::Sbom,
    ];

    /// The name of its TUF target.
    pub fn target_name(self) -> &'static str {
        match self {
            Artifact::Root => "root.img",
            Artifact::Kernel => "vmlinuz",
            Artifact::Initrd => "initrd.img",
            Artifact::Microcode => "ucode.img",
            Artifact::Xen => "xen.gz",
            Artifact::XenEfi => "xen.efi",
            Artifact::GrubBiosBoot => "grub-bios-boot.img",
            Artifact::GrubBiosCore => "grub-bios-core.img",
            Artifact::GrubEfi => "grubx64.efi",
            Artifact::KernelSignature => "vmlinuz.sig",
            Artifact::InitrdSignature => "initrd.img.sig",
            Artifact::MicrocodeSignature => "ucode.img.sig",
            Artifact::XenSignature => "xen.gz.sig",
            Artifact::XenEfiSignature => "xen.efi.sig",
            Artifact::Packages => "packages.json",
            Artifact::Sbom => "sbom.cdx.json",
        }
    }
}

/// What GRUB checks: a file, and the artifact that is its detached signature.
pub const SIGNED_FOR_GRUB: [(Artifact, Artifact); 5] = [
    (Artifact::Kernel, Artifact::KernelSignature),
    (Artifact::Initrd, Artifact::InitrdSignature),
    (Artifact::Microcode, Artifact::MicrocodeSignature),
    (Artifact::Xen, Artifact::XenSignature),
    (Artifact::XenEfi, Artifact::XenEfiSignature),
];

/// Size and hash of one artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactInfo {
    /// Bytes.
    pub size: u64,
    /// SHA-256, lowercase hexadecimal.
    pub sha256: String,
}

/// The signed description of a release: target [`MANIFEST`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Schema of this document: 1.
    pub schema: u32,
    /// `bedplate`.
    pub name: String,
    /// Version of the release, for example `0.1.0`.
    pub version: String,
    /// Debian's kernel release, for example `6.12.107+deb13-amd64`.
    pub kernel: String,
    /// Version of the hypervisor package, for example `4.20.2+7-g1badcf5035-0+deb13u1`.
    pub xen: String,
    /// Identity of the root image: what the initrd carries.
    pub root: slots::RootIdentity,
    /// Size and hash of every artifact.
    pub artifacts: BTreeMap<Artifact, ArtifactInfo>,
    /// Seconds since 1970 that everything in the release is dated with (SOURCE_DATE_EPOCH).
    pub epoch: u64,
}

/// Schema of the manifest that this code reads and writes.
const SCHEMA: u32 = 1;

impl Manifest {
    /// Checks that the manifest is complete and does not contradict itself. [`crate::publish()`] and
    /// [`crate::Repository::open`] do that themselves.
    pub fn check(&self) -> Result<(), Error> {
        let problem = |problem: String| Err(Error::Manifest { problem });
        if self.schema != SCHEMA {
            return problem(format!(
                "schema {} is not known here, only {SCHEMA}: use a newer Bedplate",
                self.schema
            ));
        }
        if self.name != "bedplate" {
            return problem(format!("it describes {:?}, not bedplate", self.name));
        }
        // These reach consoles, file names and the boot menu.
        for (what, text) in [
            ("version", &self.version),
            ("kernel", &self.kernel),
            ("xen", &self.xen),
        ] {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b".+~-_:".contains(&b);
            if text.is_empty() || text.len() > 100 || !text.bytes().all(plain) {
                return problem(format!(
                    "{what} {text:?} is no version: letters, digits and . + ~ - _ : only"
                ));
            }
        }
        let mut total: u64 = 0;
        for artifact in Artifact::ALL {
            let name = artifact.target_name();
            let Some(info) = self.artifacts.get(&artifact) else {
                return problem(format!("{name} is not listed"));
            };
            if !is_sha256(&info.sha256) {
                return problem(format!(
                    "{name}: {:?} is no SHA-256 in lowercase hexadecimal",
                    info.sha256
                ));
            }
            if info.size == 0 {
                return problem(format!("{name} is empty"));
            }
            total = match total.checked_add(info.size) {
                Some(total) => total,
                None => {
                    return problem(format!(
                        "{name}: a size of {} bytes is not possible",
                        info.size
                    ));
                }
            };
        }
        self.check_root(&self.artifacts[&Artifact::Root])
    }

    fn check_root(&self, info: &ArtifactInfo) -> Result<(), Error> {
        let problem = |problem: String| Err(Error::Manifest { problem });
        let root = &self.root;
        if root.version != self.version {
            return problem(format!(
                "the root image is of version {}, the release of {}",
                root.version, self.version
            ));
        }
        if root.image_size != info.size || root.image_sha256 != info.sha256 {
            return problem("root and artifacts say different things about root.img".to_owned());
        }
        if root.image_name != format!("{}.{}", info.sha256, Artifact::Root.target_name()) {
            return problem(format!(
                "the root image is named {:?}, which is not its name in targets/",
                root.image_name
            ));
        }
        if !is_sha256(&root.verity.root_hash) || hex::decode(&root.verity.salt).is_err() {
            return problem("the dm-verity root hash or salt is not hexadecimal".to_owned());
        }
        let data = root.verity.data_blocks.checked_mul(VERITY_BLOCK);
        if !info.size.is_multiple_of(VERITY_BLOCK)
            || data.is_none_or(|data| data == 0 || data >= info.size)
        {
            return problem(format!(
                "root.img of {} bytes cannot hold {} data blocks of {VERITY_BLOCK} bytes and a hash tree",
                info.size, root.verity.data_blocks
            ));
        }
        Ok(())
    }

    /// Bytes of all artifacts together.
    pub fn total_size(&self) -> u64 {
        self.artifacts
            .values()
            .fold(0, |sum, info| sum.saturating_add(info.size))
    }
}

/// Bytes of a dm-verity block, data and hash.
const VERITY_BLOCK: u64 = 4096;

fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
