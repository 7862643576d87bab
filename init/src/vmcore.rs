//! The memory of the system that crashed, as the crash kernel shows it in `/proc/vmcore`: an ELF file with the
//! processors' registers (notes) and the machine's memory by physical address (loads).
//!
//! Sources: ELF-64 Object File Format; Linux `fs/proc/vmcore.c` and `Documentation/admin-guide/kdump/kdump.rst`; Xen
//! `xen/include/public/elfnote.h` and `xen/include/xen/elfcore.h`; Intel SDM volume 3, "4-Level Paging".

use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Seek, SeekFrom};

/// `PT_LOAD` and `PT_NOTE`.
const LOAD: u32 = 1;
const NOTE: u32 = 4;
/// Bytes of the ELF header and of a program header.
const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
/// Most bytes of notes that are taken: 1 KiB for each of 8192 processors.
const MOST_NOTES: u64 = 8 << 20;

/// `NT_PRSTATUS`, of the owner `CORE`: the registers of a processor as Xen left it (`elf_core_save_regs`), and not as it was
/// interrupted, so that they are counted and not shown.
const PRSTATUS: u32 = 1;
/// `XEN_ELFNOTE_CRASH_INFO`, of the owner `Xen`: begins with the hypervisor's major and minor version.
const CRASH_INFO: u32 = 0x0100_0001;
/// `XEN_ELFNOTE_CRASH_REGS`, of the owner `Xen`: CR0, CR2, CR3 and CR4 of a processor.
const CRASH_REGS: u32 = 0x0100_0002;

/// Page tables: a bit that says the entry is valid, one that says it is a large page, and the bits of an address.
const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// A piece of physical memory in the file.
#[derive(Debug, Clone, Copy)]
struct Load {
    physical: u64,
    bytes: u64,
    offset: u64,
}

/// The opened file.
#[derive(Debug)]
pub struct Vmcore<F> {
    file: F,
    loads: Vec<Load>,
    notes: Vec<u8>,
}

/// A note: who defines its type, the type, and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note<'a> {
    owner: &'a str,
    kind: u32,
    content: &'a [u8],
}

impl<F: Read + Seek> Vmcore<F> {
    /// Reads the headers and the notes.
    ///
    /// # Errors
    /// It cannot be read, or is no ELF file of x86-64.
    pub fn open(mut file: F) -> Result<Self> {
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)
            .context("the ELF header cannot be read")?;
        // Magic number, 64 bits, little-endian.
        ensure!(
            header.starts_with(b"\x7fELF\x02\x01"),
            "this is no 64-bit ELF file"
        );
        ensure!(
            u16_at(&header, 54)? as usize == PROGRAM_HEADER_BYTES,
            "its program headers have a size that is not known"
        );
        let (start, count) = (u64_at(&header, 32)?, u16_at(&header, 56)?);
        file.seek(SeekFrom::Start(start))?;
        let mut headers = vec![0; PROGRAM_HEADER_BYTES * usize::from(count)];
        file.read_exact(&mut headers)
            .context("the program headers cannot be read")?;

        let (mut loads, mut notes) = (Vec::new(), Vec::new());
        for header in headers.chunks_exact(PROGRAM_HEADER_BYTES) {
            let (offset, physical, bytes) =
                (u64_at(header, 8)?, u64_at(header, 24)?, u64_at(header, 32)?);
            match u32_at(header, 0)? {
                LOAD => loads.push(Load {
                    physical,
                    bytes,
                    offset,
                }),
                NOTE => {
                    ensure!(bytes <= MOST_NOTES, "it has {bytes} bytes of notes");
                    file.seek(SeekFrom::Start(offset))?;
                    (&mut file)
                        .take(bytes)
                        .read_to_end(&mut notes)
                        .context("the notes cannot be read")?;
                }
                _ => {}
            }
        }
        Ok(Self { file, loads, notes })
    }

    /// The notes as they are in the file.
    pub fn notes_bytes(&self) -> &[u8] {
        &self.notes
    }

    /// The notes, up to the first one that is cut off.
    pub fn notes(&self) -> impl Iterator<Item = Note<'_>> {
        let mut rest = self.notes.as_slice();
        std::iter::from_fn(move || {
            let (note, behind) = note(rest)?;
            rest = behind;
            Some(note)
        })
    }

    /// The version of the hypervisor: major and minor.
    pub fn xen_version(&self) -> Option<(u64, u64)> {
        let info = self.notes_of("Xen", CRASH_INFO).next()?;
        Some((u64_at(info, 0).ok()?, u64_at(info, 8).ok()?))
    }

    /// How many processors left their registers.
    pub fn processors(&self) -> usize {
        self.notes_of("CORE", PRSTATUS).count()
    }

    fn notes_of(&self, owner: &'static str, kind: u32) -> impl Iterator<Item = &[u8]> {
        self.notes()
            .filter(move |note| note.owner == owner && note.kind == kind)
            .map(|note| note.content)
    }

    /// Reads memory by the addresses that the hypervisor has for it. Every processor's page tables map the hypervisor, so
    /// the first that lead to the address are as good as others.
    ///
    /// # Errors
    /// No processor left its page tables, they lead nowhere, or memory is missing in the file.
    pub fn read_virtual(&mut self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let tables: Vec<u64> = self
            .notes_of("Xen", CRASH_REGS)
            .filter_map(|registers| u64_at(registers, 16).ok())
            .filter(|cr3| cr3 & ADDRESS != 0)
            .collect();
        let mut problem = None;
        for cr3 in tables {
            match self.read_through(cr3, address, buffer) {
                Ok(()) => return Ok(()),
                Err(error) => problem = Some(error),
            }
        }
        match problem {
            Some(error) => Err(error),
            None => bail!("no processor left the address of its page tables"),
        }
    }

    /// Page by page: what lies side by side here may lie anywhere in memory.
    fn read_through(&mut self, cr3: u64, address: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = address
                .checked_add(done as u64)
                .context("it reaches over the end of all addresses")?;
            let bytes = (buffer.len() - done).min(4096 - (at % 4096) as usize);
            let physical = self.translate(cr3, at)?;
            self.read_physical(physical, &mut buffer[done..done + bytes])?;
            done += bytes;
        }
        Ok(())
    }

    /// Physical address of `address`, by the four levels of page tables below `cr3`.
    fn translate(&mut self, cr3: u64, address: u64) -> Result<u64> {
        let mut table = cr3 & ADDRESS;
        for shift in [39, 30, 21, 12] {
            let index = (address >> shift) & 511;
            let mut bytes = [0; 8];
            self.read_physical(table + index * 8, &mut bytes)?;
            let entry = u64::from_le_bytes(bytes);
            ensure!(
                entry & PRESENT != 0,
                "{address:#x} is not in the page tables at {cr3:#x}"
            );
            let is_page = shift == 12 || (shift < 39 && entry & LARGE != 0);
            if is_page {
                let within = (1_u64 << shift) - 1;
                return Ok((entry & ADDRESS & !within) | (address & within));
            }
            table = entry & ADDRESS;
        }
        bail!("the page tables at {cr3:#x} have no end")
    }

    fn read_physical(&mut self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let wanted = buffer.len() as u64;
        let load = self.loads.iter().find(|load| {
            address
                .checked_sub(load.physical)
                .and_then(|into| load.bytes.checked_sub(into))
                .is_some_and(|left| left >= wanted)
        });
        let Some(load) = load else {
            bail!("{wanted} bytes of memory at {address:#x} are not in the dump")
        };
        let offset = load
            .offset
            .checked_add(address - load.physical)
            .context("its place in the dump is beyond all files")?;
        self.file.seek(SeekFrom::Start(offset))?;
        self.file
            .read_exact(buffer)
            .with_context(|| format!("memory at {address:#x} cannot be read"))
    }
}

/// The first note and what is behind it; none at the end, and where it is cut off. Name and content are padded to four bytes.
fn note(bytes: &[u8]) -> Option<(Note<'_>, &[u8])> {
    let word = |at| u32_at(bytes, at).ok();
    let (name_bytes, content_bytes, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
    if name_bytes == 0 {
        return None;
    }
    let content_at = 12_usize.checked_add(name_bytes.checked_next_multiple_of(4)?)?;
    let content_end = content_at.checked_add(content_bytes)?;
    let name = bytes.get(12..12 + name_bytes)?;
    let owner = std::str::from_utf8(name).ok()?.trim_end_matches('\0');
    let content = bytes.get(content_at..content_end)?;
    let behind = bytes
        .get(content_end.checked_next_multiple_of(4)?..)
        .unwrap_or_default();
    let note = Note {
        owner,
        kind,
        content,
    };
    Some((note, behind))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    at.checked_add(N)
        .and_then(|end| bytes.get(at..end)?.try_into().ok())
        .with_context(|| format!("it ends within the {N} bytes at {at}"))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// A dump made by the words of the specifications, for this room's tests and its neighbor's.
#[cfg(test)]
pub mod made {
    use super::*;
    use std::io::Cursor;

    /// Where the page tables of [`dump`] are.
    pub const CR3: u64 = 0x1000;
    /// Virtual addresses that they know: a page of 4 KiB at physical 0x6000 with one at 0x9000 behind it, and a page of 2 MiB
    /// at physical 0x200000.
    pub const SMALL: u64 = 0xffff_82d0_4000_0000;
    pub const LARGE_PAGE: u64 = 0xffff_82d0_4020_0000;

    /// A note by the rules of the ELF specification.
    pub fn note(owner: &str, kind: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [owner.len() as u32 + 1, content.len() as u32, kind] {
            bytes.extend(word.to_le_bytes());
        }
        for part in [[owner.as_bytes(), b"\0"].concat(), content.to_vec()] {
            bytes.extend(&part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    /// Notes of one processor.
    pub fn notes(cr3: u64) -> Vec<u8> {
        let words =
            |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
        [
            note("CORE", 1, &[0; 336]),
            note("Xen", 0x0100_0002, &words(&[0x8005_0033, 0, cr3, 0x26])),
            note("Xen", 0x0100_0001, &words(&[4, 20, 0, 0])),
        ]
        .concat()
    }

    /// A dump with `notes` and 4 MiB of memory from 0 on, whose page tables are in place and which `write` fills further.
    pub fn dump(notes: &[u8], write: impl FnOnce(&mut [u8])) -> Vmcore<Cursor<Vec<u8>>> {
        Vmcore::open(Cursor::new(file(notes, write))).unwrap()
    }

    /// The same as bytes.
    pub fn file(notes: &[u8], write: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut memory = vec![0; 4 << 20];
        let mut entry = |table: u64, address: u64, shift: u32, value: u64| {
            let at = (table + ((address >> shift) & 511) * 8) as usize;
            memory[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        entry(CR3, SMALL, 39, 0x2000 | PRESENT);
        entry(0x2000, SMALL, 30, 0x3000 | PRESENT);
        entry(0x3000, SMALL, 21, 0x4000 | PRESENT);
        // No-execute and bits that are the software's: not part of an address.
        entry(0x4000, SMALL, 12, 1 << 63 | 0x6000 | 0xe00 | PRESENT);
        entry(0x4000, SMALL + 0x1000, 12, 0x9000 | PRESENT);
        // Bit 12 of a large page's entry is a memory type (PAT).
        entry(
            0x3000,
            LARGE_PAGE,
            21,
            0x20_0000 | 1 << 12 | LARGE | PRESENT,
        );
        write(&mut memory);

        let notes_at = HEADER_BYTES as u64 + 2 * PROGRAM_HEADER_BYTES as u64;
        let memory_at = notes_at + notes.len() as u64;
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(HEADER_BYTES, 0);
        file[32..40].copy_from_slice(&(HEADER_BYTES as u64).to_le_bytes());
        file[54..56].copy_from_slice(&(PROGRAM_HEADER_BYTES as u16).to_le_bytes());
        file[56..58].copy_from_slice(&2_u16.to_le_bytes());
        for (kind, offset, bytes) in [
            (NOTE, notes_at, notes.len() as u64),
            (LOAD, memory_at, memory.len() as u64),
        ] {
            file.extend(kind.to_le_bytes());
            file.extend(0_u32.to_le_bytes());
            for word in [offset, 0, 0, bytes, bytes, 0] {
                file.extend(u64::to_le_bytes(word));
            }
        }
        [file, notes.to_vec(), memory].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn notes_are_told_apart() {
        let dump = made::dump(&made::notes(made::CR3), |_| {});
        assert_eq!(dump.xen_version(), Some((4, 20)));
        assert_eq!(dump.processors(), 1);
        assert_eq!(dump.notes().count(), 3);
    }

    #[test]
    fn memory_is_read_over_the_bounds_of_pages() {
        let mut dump = made::dump(&made::notes(made::CR3), |memory| {
            memory[0x6ffe..0x7000].copy_from_slice(b"ab");
            memory[0x9000..0x9002].copy_from_slice(b"cd");
            memory[0x20_1234..0x20_1236].copy_from_slice(b"xy");
        });
        let mut four = [0; 4];
        dump.read_virtual(made::SMALL + 0xffe, &mut four).unwrap();
        assert_eq!(&four, b"abcd");
        let mut two = [0; 2];
        dump.read_virtual(made::LARGE_PAGE + 0x1234, &mut two)
            .unwrap();
        assert_eq!(&two, b"xy");
        let error = dump.read_virtual(made::SMALL + 0x2000, &mut two);
        assert!(error.unwrap_err().to_string().contains("page tables"));
    }

    #[test]
    fn page_tables_that_lead_nowhere_are_no_end_where_others_do() {
        let mut notes = made::notes(0x3f_f000);
        notes.extend(made::notes(made::CR3));
        let mut dump = made::dump(&notes, |memory| memory[0x6000] = 7);
        let mut byte = [0];
        dump.read_virtual(made::SMALL, &mut byte).unwrap();
        assert_eq!(byte, [7]);

        let mut beyond = made::dump(&made::notes(1 << 40), |_| {});
        let error = beyond.read_virtual(made::SMALL, &mut byte).unwrap_err();
        assert!(error.to_string().contains("not in the dump"), "{error}");
        let mut none = made::dump(&[], |_| {});
        assert!(none.read_virtual(made::SMALL, &mut byte).is_err());
    }

    #[test]
    fn what_is_cut_off_or_no_dump_is_refused_and_never_a_panic() {
        let whole = made::file(&made::notes(made::CR3), |_| {});
        for length in 0..1000 {
            if let Ok(mut dump) = Vmcore::open(Cursor::new(whole[..length].to_vec())) {
                let _ = (dump.notes().count(), dump.processors(), dump.xen_version());
                assert!(dump.read_virtual(made::SMALL, &mut [0; 16]).is_err());
            }
        }
        assert!(Vmcore::open(Cursor::new(whole[..100].to_vec())).is_err());
        assert!(Vmcore::open(Cursor::new(vec![0; 4096])).is_err());
        // Sizes that are lies.
        for at in 120..300 {
            let mut wrong = whole[..8192].to_vec();
            wrong[at] = 0xff;
            if let Ok(mut dump) = Vmcore::open(Cursor::new(wrong)) {
                let _ = (dump.notes().count(), dump.processors(), dump.xen_version());
                let _ = dump.read_virtual(made::SMALL, &mut [0; 16]);
            }
        }
    }
}
