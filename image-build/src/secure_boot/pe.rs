//! Authenticode: what of an EFI program is hashed, and where its signature goes.
//!
//! Source: "Windows Authenticode Portable Executable Signature Format" (Microsoft, 2008), "Calculating the PE Image Hash";
//! EDK2 `DxeImageVerificationLib.c` does the same.

use super::certificate::{algorithm, oid};
use super::keys::Signer;
use super::pkcs7::{SHA256, attached};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use yasna::{Tag, construct_der};

/// SPC_INDIRECT_DATA_OBJID.
const INDIRECT_DATA: &[u64] = &[1, 3, 6, 1, 4, 1, 311, 2, 1, 4];
/// SPC_PE_IMAGE_DATA_OBJID.
const PE_IMAGE_DATA: &[u64] = &[1, 3, 6, 1, 4, 1, 311, 2, 1, 15];
/// What stands for the name of the file, as every signer writes it.
const OBSOLETE: &str = "<<<Obsolete>>>";
/// WIN_CERTIFICATE: revision 2.0, WIN_CERT_TYPE_PKCS_SIGNED_DATA.
const CERTIFICATE_KIND: [u8; 4] = [0x00, 0x02, 0x02, 0x00];
/// Certificates start and end on this.
const ALIGNMENT: usize = 8;

/// Places in a program.
struct Layout {
    /// Offset of the checksum, 4 bytes, not hashed.
    checksum: usize,
    /// Offset of the directory entry of the certificates, 8 bytes, not hashed.
    directory: usize,
    /// Bytes of the headers.
    headers: usize,
    /// Start and length in the file of each section that has bytes there, in the order of the file.
    sections: Vec<(usize, usize)>,
}

impl Layout {
    fn of(program: &[u8]) -> Result<Layout> {
        let u16_at = |at: usize| -> Result<usize> { Ok(number(program, at, 2)? as usize) };
        let u32_at = |at: usize| -> Result<usize> { Ok(number(program, at, 4)? as usize) };
        let pe = u32_at(0x3c)?;
        ensure!(
            program.starts_with(b"MZ") && program.get(pe..pe + 4) == Some(b"PE\0\0"),
            "this is no PE program"
        );
        let optional = pe + 24;
        ensure!(
            u16_at(optional)? == 0x20b,
            "this is no 64-bit PE program (PE32+)"
        );
        ensure!(
            u32_at(optional + 108)? > 4,
            "this PE program has no place for a signature"
        );
        let table = optional + u16_at(pe + 20)?;
        let mut sections = Vec::new();
        for index in 0..u16_at(pe + 6)? {
            let header = table + index * 40;
            let (size, start) = (u32_at(header + 16)?, u32_at(header + 20)?);
            ensure!(
                start + size <= program.len(),
                "a section of this PE program ends behind the file"
            );
            if size > 0 {
                sections.push((start, size));
            }
        }
        sections.sort_unstable();
        let directory = optional + 112 + 4 * 8;
        let headers = u32_at(optional + 60)?;
        ensure!(
            (directory + 8..=program.len()).contains(&headers),
            "the headers of this PE program have an impossible size"
        );
        Ok(Layout {
            checksum: optional + 64,
            directory,
            headers,
            sections,
        })
    }

    /// The hash of a program that has no signature.
    fn digest(&self, program: &[u8]) -> Result<[u8; 32]> {
        let mut hash = Sha256::new();
        hash.update(&program[..self.checksum]);
        hash.update(&program[self.checksum + 4..self.directory]);
        hash.update(&program[self.directory + 8..self.headers]);
        let mut hashed = self.headers;
        for (start, size) in &self.sections {
            hash.update(&program[*start..start + size]);
            hashed += size;
        }
        // As the specification has it: what is left counts from the sum, not from the end of the last section.
        hash.update(
            program
                .get(hashed..)
                .context("sections of this PE program overlap")?,
        );
        Ok(hash.finalize().into())
    }
}

/// The hash of a program, signed or not: what a signature for db signs, and what the firmware measures when it loads it.
///
/// # Errors
/// When it is no 64-bit PE program, or something lies behind its signature.
pub fn image_hash(program: &[u8]) -> Result<[u8; 32]> {
    let layout = Layout::of(program)?;
    let start = number(program, layout.directory, 4)? as usize;
    let size = number(program, layout.directory + 4, 4)? as usize;
    if size == 0 {
        return layout.digest(program);
    }
    ensure!(
        start >= layout.headers && start + size == program.len(),
        "the signature of this PE program is not its end"
    );
    layout.digest(&program[..start])
}

fn number(program: &[u8], at: usize, bytes: usize) -> Result<u64> {
    let bytes = program
        .get(at..at + bytes)
        .context("this PE program is cut off")?;
    Ok(bytes
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// `program` with a signature for db, dated `epoch` (seconds since 1970).
///
/// # Errors
/// When it is no 64-bit PE program, or signed already.
pub fn sign_program(signer: &Signer, epoch: u64, program: &[u8]) -> Result<Vec<u8>> {
    let mut signed = program.to_vec();
    signed.resize(program.len().next_multiple_of(ALIGNMENT), 0);
    let layout = Layout::of(&signed)?;
    ensure!(
        signed[layout.directory..layout.directory + 8] == [0; 8],
        "this PE program is signed already"
    );
    let digest = layout.digest(&signed)?;
    let mut signature = attached(signer, epoch, INDIRECT_DATA, &indirect_data(&digest))?;
    signature.resize(signature.len().next_multiple_of(ALIGNMENT), 0);
    let entry_size = 8 + signature.len() as u32;
    let entry = u32::try_from(signed.len()).context("a PE program has less than 4 GiB")?;
    signed[layout.directory..layout.directory + 4].copy_from_slice(&entry.to_le_bytes());
    signed[layout.directory + 4..layout.directory + 8].copy_from_slice(&entry_size.to_le_bytes());
    signed.extend(entry_size.to_le_bytes());
    signed.extend(CERTIFICATE_KIND);
    signed.extend(signature);
    Ok(signed)
}

/// SpcIndirectDataContent: a PE program with this hash.
fn indirect_data(digest: &[u8; 32]) -> Vec<u8> {
    let name: Vec<u8> = OBSOLETE.encode_utf16().flat_map(u16::to_be_bytes).collect();
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&oid(PE_IMAGE_DATA));
                writer.next().write_sequence(|writer| {
                    // No flags.
                    writer.next().write_bitvec_bytes(&[], 0);
                    writer.next().write_tagged(Tag::context(0), |writer| {
                        writer.write_tagged(Tag::context(2), |writer| {
                            writer.write_tagged_implicit(Tag::context(0), |writer| {
                                writer.write_bytes(&name);
                            });
                        });
                    });
                });
            });
            writer.next().write_sequence(|writer| {
                algorithm(writer.next(), SHA256);
                writer.next().write_bytes(digest);
            });
        });
    })
}
