//! CPUID dumps in the forms of two projects, and the form that a captured tree holds.

use std::collections::BTreeMap;

/// Registers by leaf and subleaf.
#[derive(Debug, Clone, Default)]
pub struct Leaves(BTreeMap<(u32, u32), [u32; 4]>);

impl Leaves {
    /// hwloc's form: `1 80000001 0 0 0 => 800f12 40000000 35c233ff 2fd3fbff`, where the first number says which of the
    /// registers on the left matter (bit 0 EAX, bit 2 ECX).
    pub fn of_hwloc(text: &str) -> Option<Self> {
        const ECX_MATTERS: u32 = 4;
        let mut leaves = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (left, right) = line.split_once("=>")?;
            let [mask, leaf, _, subleaf, _]: [u32; 5] = numbers(left)?.try_into().ok()?;
            let subleaf = if mask & ECX_MATTERS == 0 { 0 } else { subleaf };
            let registers: [u32; 4] = numbers(right)?.try_into().ok()?;
            leaves.entry((leaf, subleaf)).or_insert(registers);
        }
        Some(Self(leaves))
    }

    /// libvirt's form: `<cpuid eax_in='0x0' ecx_in='0x0' eax='0xd' ebx=... ecx=... edx=.../>`.
    pub fn of_libvirt(text: &str) -> Option<Self> {
        let mut leaves = BTreeMap::new();
        for line in text
            .lines()
            .filter(|line| line.trim_start().starts_with("<cpuid "))
        {
            let value = |name: &str| {
                let behind = line.split_once(&format!(" {name}='0x"))?.1;
                u32::from_str_radix(behind.split_once('\'')?.0, 16).ok()
            };
            let registers = [value("eax")?, value("ebx")?, value("ecx")?, value("edx")?];
            leaves.insert((value("eax_in")?, value("ecx_in").unwrap_or(0)), registers);
        }
        (!leaves.is_empty()).then_some(Self(leaves))
    }

    /// What a leaf says; zero where it is not there.
    pub fn get(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        self.0.get(&(leaf, subleaf)).copied().unwrap_or_default()
    }

    /// The processor's own number: the longest form that it has, as Linux takes it.
    pub fn apic_id(&self) -> u32 {
        let [_, processors, _, x2apic] = self.get(0x0b, 0);
        if processors & 0xffff != 0 {
            return x2apic;
        }
        self.get(1, 0)[1] >> 24
    }

    /// As `cpuid -r` writes it.
    pub fn to_text(&self) -> String {
        let mut text = "CPU:\n".to_owned();
        for ((leaf, subleaf), [eax, ebx, ecx, edx]) in &self.0 {
            text += &format!(
                "   {leaf:#010x} {subleaf:#04x}: eax={eax:#010x} ebx={ebx:#010x} ecx={ecx:#010x} edx={edx:#010x}\n"
            );
        }
        text
    }
}

/// Words in hexadecimal; None where one is something else.
fn numbers(text: &str) -> Option<Vec<u32>> {
    text.split_whitespace()
        .map(|word| u32::from_str_radix(word, 16).ok())
        .collect()
}
