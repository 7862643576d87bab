//! Root image, ISO, keys, answer embedding, inspection.
//!
//! The order of a build: [`tools_root`] (the tools whose output matters) and [`base_tree`] (Debian's packages,
//! as [`lock`] and [`archive`] pin them), then
//! [`finish_tree`] (what Bedplate adds and cuts), [`squash`] (root image with its verity tree), [`initrd`],
//! [`microcode`], [`xen_efi`], [`grub_images`] and [`sbom`] (what it all consists of), gathered by [`build`] in `target/release-files` with a manifest;
//! [`iso`] signs them into a TUF repository and puts a bootable medium around it. [`hotfix`] makes one signed file of the way from earlier
//! releases to a new one, and [`repository`] the static folder of an update server.

pub mod archive;
pub mod base_tree;
pub mod build;
pub mod compare;
pub mod cpio;
pub mod driver_index;
pub mod embed;
pub mod finish_tree;
pub mod grub_images;
pub mod hotfix;
pub mod initrd;
pub mod inspect;
pub mod iso;
pub mod iso_reader;
pub mod kernel;
pub mod kernel_options;
pub mod licensing;
pub mod limits;
pub mod lock;
pub mod measured_boot;
pub mod microcode;
pub mod packages;
pub mod paths;
pub mod repository;
pub mod sbom;
pub mod secure_boot;
pub mod size;
pub mod squash;
pub mod tool;
pub mod tools_root;
pub mod xen_efi;
