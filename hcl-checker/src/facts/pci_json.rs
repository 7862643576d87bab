//! PCI functions read straight from JSON: nineteen of twenty bytes of a fleet's facts are functions, and nearly all of them
//! stand there as `facts --json` wrote them.
//!
//! What is written that way is read here, with any blanks and in any order. Everything else (an escaped character, a field of
//! a later version, a mistake) is not: serde then reads the whole machine, or says what is wrong with it. So that this never
//! reads what serde refuses, it gives up wherever there is a doubt; tests hold both against each other.

mod raw;

use super::list::MOST;
use super::{Acs, PciFunction, PciIds, PcieLink, Sriov};
use crate::json_text::special;
use raw::{Field, Raw};

/// The facts of a machine whose PCI functions have been read.
pub(super) struct Taken<'a> {
    /// The facts, with `null` in the place of the functions. Whether they are JSON is for serde to say.
    pub(super) rest: String,
    /// The functions that are wanted.
    pub(super) functions: Vec<PciFunction>,
    /// Addresses of the others.
    pub(super) others: Vec<&'a str>,
}

/// Says whether a function of these numbers is wanted, and of this revision if it is known.
pub(super) type Wanted<'a> = &'a dyn Fn(&PciIds, Option<u8>) -> bool;

/// Takes the PCI functions out of facts, those that are wanted; none where they are not written as [`self`] says.
pub(super) fn take<'a>(facts: &'a str, wanted: Wanted<'_>) -> Option<Taken<'a>> {
    let mut reader = Reader {
        text: facts,
        at: 0,
        function_keys: Vec::new(),
        id_keys: Vec::new(),
        link_keys: Vec::new(),
        acs_keys: Vec::new(),
        sriov_keys: Vec::new(),
        others: Vec::new(),
    };
    let mut taken = None;
    reader.object(|reader, key| {
        if key != "pci" || reader.peek()? != b'[' {
            return reader.skip();
        }
        let begin = reader.at;
        let functions = reader.functions(wanted)?;
        // Twice the same field is a mistake that serde tells.
        taken
            .replace((begin..reader.at, functions))
            .is_none()
            .then_some(())
    })?;
    if reader.peek().is_some() {
        return None;
    }
    let (span, functions) = taken?;
    let (before, behind) = (facts.get(..span.start)?, facts.get(span.end..)?);
    let rest = [before, "null", behind].concat();
    let others = reader.others;
    Some(Taken {
        rest,
        functions,
        others,
    })
}

/// Keys of a function, each with its number.
const FUNCTION: [&str; 15] = [
    "source",
    "address",
    "ids",
    "revision",
    "modalias",
    "driver",
    "numa_node",
    "iommu_group",
    "computed_group",
    "multifunction",
    "link",
    "acs",
    "sriov",
    "physical_function",
    "slot",
];

/// Keys of the numbers that name a function. The first three are never left out.
const IDS: [&str; 6] = [
    "vendor",
    "device",
    "class",
    "subsystem_vendor",
    "subsystem_device",
    "interface_unknown",
];

/// Texts of keys, each with its number.
type Heads<'a> = Vec<(&'a [u8], usize)>;

/// Reads forward; nothing it returns is where it gave up, and nobody reads on then.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// How each key of the function before stood there, with the blanks around it and the colon, and its number: most likely
    /// the next function has the same ones in the same order, which is seen at one look.
    function_keys: Heads<'a>,
    /// The same of the numbers that name a function, and of those of its link and its capabilities.
    id_keys: Heads<'a>,
    link_keys: Heads<'a>,
    acs_keys: Heads<'a>,
    sriov_keys: Heads<'a>,
    /// Addresses of functions that are not wanted.
    others: Vec<&'a str>,
}

/// JSON's blanks, which are fewer than others have.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

impl<'a> Reader<'a> {
    /// The next byte that is no blank, which is then what stands at `at`.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match *bytes.get(self.at)? {
                byte if is_blank(byte) => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Passes over this byte.
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Passes over this word, if it is the next one.
    fn takes(&mut self, word: &str) -> bool {
        let bytes = self.text.as_bytes();
        let is = self.peek().is_some() && bytes[self.at..].starts_with(word.as_bytes());
        if is {
            self.at += word.len();
        }
        is
    }

    /// A text without escaped characters.
    fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let begin = self.at;
        let end = begin + special(self.text.as_bytes().get(begin..)?)?;
        self.at = end + 1;
        (self.text.as_bytes()[end] == b'"').then(|| self.text.get(begin..end))?
    }

    /// Passes over a value without looking whether it makes sense: serde does.
    fn skip(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    loop {
                        self.at += special(bytes.get(self.at..)?)?;
                        match bytes[self.at] {
                            b'"' => break,
                            b'\\' => self.at += 2,
                            _ => return None,
                        }
                    }
                    self.at += 1;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => self.at += 1,
                // A number or a word, of which there is one byte at least.
                _ => {
                    let ends = |byte: &u8| {
                        matches!(byte, b',' | b':' | b'}' | b']' | b'"') || is_blank(*byte)
                    };
                    let length = bytes[self.at..].iter().position(ends);
                    self.at += length.unwrap_or(bytes.len() - self.at).max(1);
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// An object; `field` reads the value of each key.
    fn object(&mut self, mut field: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            field(self, key)?;
            let next = self.peek()?;
            self.at += 1;
            match next {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// A value, `null`, or the reason why it is unknown.
    fn field<T>(&mut self, value: impl FnOnce(&mut Self) -> Option<T>) -> Option<Field<'a, T>> {
        match self.peek()? {
            b'n' => self.takes("null").then_some(Field::Null),
            b'{' => {
                let begin = self.at;
                self.at += 1;
                if !self.takes("\"unknown\"") {
                    self.at = begin;
                    return value(self).map(Field::Value);
                }
                self.take(b':')?;
                let reason = self.string()?;
                self.take(b'}')?;
                Some(Field::Unknown(reason))
            }
            _ => value(self).map(Field::Value),
        }
    }

    fn text(&mut self) -> Option<Field<'a, &'a str>> {
        self.field(Self::string)
    }

    fn truth(&mut self) -> Option<bool> {
        if self.takes("true") {
            return Some(true);
        }
        self.takes("false").then_some(false)
    }

    /// A number of ten digits at most, written as JSON has it.
    fn number<T: TryFrom<u64>>(&mut self) -> Option<T> {
        self.peek()?;
        let digits = self.text.as_bytes()[self.at..].iter();
        let digits = digits.take_while(|byte| byte.is_ascii_digit());
        let (mut number, mut count) = (0_u64, 0);
        for digit in digits.take(11) {
            number = number * 10 + u64::from(digit - b'0');
            count += 1;
        }
        let leading_zero = count > 1 && self.text.as_bytes()[self.at] == b'0';
        if count == 0 || count > 10 || leading_zero {
            return None;
        }
        self.at += count;
        T::try_from(number).ok()
    }

    /// A number as `"0x8086"`, of six digits at most.
    fn hexadecimal<T: TryFrom<u32>>(&mut self) -> Option<T> {
        self.take(b'"')?;
        let digits = self.text.as_bytes().get(self.at..)?.strip_prefix(b"0x")?;
        let mut number = 0_u32;
        for (count, &byte) in digits.iter().enumerate().take(7) {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                b'"' if count > 0 => {
                    self.at += b"0x\"".len() + count;
                    return T::try_from(number).ok();
                }
                _ => return None,
            };
            number = number << 4 | u32::from(digit);
        }
        None
    }

    fn hexadecimal_or_null(&mut self) -> Option<Option<u16>> {
        if self.peek()? == b'n' {
            return self.takes("null").then_some(None);
        }
        self.hexadecimal().map(Some)
    }

    fn functions(&mut self, wanted: Wanted<'_>) -> Option<Vec<PciFunction>> {
        self.take(b'[')?;
        let mut functions = Vec::new();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(functions);
        }
        for _ in 0..MOST {
            let raw = self.function()?;
            if raw.is_wanted(wanted) {
                functions.push(raw.function());
            } else {
                self.others.push(raw.address);
            }
            let next = self.peek()?;
            self.at += 1;
            match next {
                b',' => {}
                b']' => return Some(functions),
                _ => return None,
            }
        }
        None
    }

    fn function_keys(&mut self) -> &mut Heads<'a> {
        &mut self.function_keys
    }

    fn id_keys(&mut self) -> &mut Heads<'a> {
        &mut self.id_keys
    }

    /// The number of the key that stands here, and passes over its colon. `before` is how the keys at this `place` stood
    /// before.
    fn key(
        &mut self,
        place: usize,
        before: fn(&mut Self) -> &mut Heads<'a>,
        keys: &[&str],
    ) -> Option<usize> {
        let bytes = self.text.as_bytes();
        if let Some(&(head, number)) = before(self).get(place)
            && bytes[self.at..].starts_with(head)
        {
            self.at += head.len();
            return Some(number);
        }
        let begin = self.at;
        let key = self.string()?;
        self.take(b':')?;
        let number = keys.iter().position(|known| *known == key)?;
        let seen = (&bytes[begin..self.at], number);
        let before = before(self);
        match before.get_mut(place) {
            Some(known) => *known = seen,
            None => before.push(seen),
        }
        Some(number)
    }

    /// An object with some of these keys, none of them twice; `field` reads the value of each. Returns which there were.
    fn fields(
        &mut self,
        before: fn(&mut Self) -> &mut Heads<'a>,
        keys: &[&str],
        mut field: impl FnMut(&mut Self, usize) -> Option<()>,
    ) -> Option<u32> {
        self.take(b'{')?;
        let mut seen = 0_u32;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(seen);
        }
        for place in 0..keys.len() {
            let number = self.key(place, before, keys)?;
            // Twice the same field is a mistake that serde tells.
            let bit = 1 << number;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            field(self, number)?;
            let next = self.peek()?;
            self.at += 1;
            match next {
                b',' => {}
                b'}' => return Some(seen),
                _ => return None,
            }
        }
        None
    }

    fn function(&mut self) -> Option<Raw<'a>> {
        let mut raw = Raw::default();
        self.fields(Self::function_keys, &FUNCTION, |reader, number| {
            match number {
                0 => raw.source = reader.string()?,
                1 => raw.address = reader.string()?,
                2 => raw.ids = reader.field(Self::ids)?,
                3 => raw.revision = reader.field(Self::number)?,
                4 => raw.modalias = reader.text()?,
                5 => raw.driver = reader.text()?,
                6 => raw.numa_node = reader.field(Self::number)?,
                7 => raw.iommu_group = reader.field(Self::number)?,
                8 => raw.computed_group = reader.field(Self::number)?,
                9 => raw.multifunction = reader.field(Self::truth)?,
                10 => raw.link = reader.field(Self::link)?,
                11 => raw.acs = reader.field(Self::acs)?,
                12 => raw.sriov = reader.field(Self::sriov)?,
                13 => raw.physical_function = reader.text()?,
                _ => raw.slot = reader.text()?,
            }
            Some(())
        })?;
        Some(raw)
    }

    fn ids(&mut self) -> Option<PciIds> {
        const NEVER_LEFT_OUT: u32 = 0b111;
        let mut ids = PciIds::default();
        let seen = self.fields(Self::id_keys, &IDS, |reader, number| {
            match number {
                0 => ids.vendor = reader.hexadecimal()?,
                1 => ids.device = reader.hexadecimal()?,
                2 => ids.class = reader.hexadecimal()?,
                3 => ids.subsystem_vendor = reader.hexadecimal_or_null()?,
                4 => ids.subsystem_device = reader.hexadecimal_or_null()?,
                _ => ids.interface_unknown = reader.truth()?,
            }
            Some(())
        })?;
        (seen & NEVER_LEFT_OUT == NEVER_LEFT_OUT).then_some(ids)
    }

    /// An object that has numbers with these keys and nothing else.
    fn numbers<const N: usize>(
        &mut self,
        before: fn(&mut Self) -> &mut Heads<'a>,
        keys: [&str; N],
    ) -> Option<[u32; N]> {
        let mut numbers = [0; N];
        let seen = self.fields(before, &keys, |reader, number| {
            numbers[number] = reader.number()?;
            Some(())
        })?;
        (seen.count_ones() as usize == N).then_some(numbers)
    }

    fn link(&mut self) -> Option<PcieLink> {
        let keys = ["speed_mts", "width", "max_speed_mts", "max_width"];
        let [speed_mts, width, max_speed_mts, max_width] =
            self.numbers(|reader| &mut reader.link_keys, keys)?;
        Some(PcieLink {
            speed_mts,
            width: width.try_into().ok()?,
            max_speed_mts,
            max_width: max_width.try_into().ok()?,
        })
    }

    fn acs(&mut self) -> Option<Acs> {
        let [capability, control] =
            self.numbers(|reader| &mut reader.acs_keys, ["capability", "control"])?;
        Some(Acs {
            capability: capability.try_into().ok()?,
            control: control.try_into().ok()?,
        })
    }

    fn sriov(&mut self) -> Option<Sriov> {
        let [total, enabled] =
            self.numbers(|reader| &mut reader.sriov_keys, ["total", "enabled"])?;
        Some(Sriov { total, enabled })
    }
}

#[cfg(test)]
mod tests;
