//! PCI functions read straight from JSON: nineteen of twenty bytes of a fleet's facts are functions, and nearly all of them
//! stand there as `facts --json` wrote them.
//!
//! What is written that way is read here, with any blanks and in any order. Everything else (an escaped character, a field of
//! a later version, a mistake) is not: serde then reads the whole machine, or says what is wrong with it. So that this never
//! reads what serde refuses, it gives up wherever there is a doubt; tests hold both against each other.

use super::list::MOST;
use super::{Acs, PciFunction, PciIds, PcieLink, Sriov};
use crate::json_text::special;
use crate::known::Known;

/// The facts of a machine whose PCI functions have been read.
pub(super) struct Taken<'a> {
    /// The facts, with `null` in the place of the functions. Whether they are JSON is for serde to say.
    pub(super) rest: String,
    /// The functions that are wanted.
    pub(super) functions: Vec<PciFunction>,
    /// Addresses of the others.
    pub(super) others: Vec<&'a str>,
}

/// Says whether a function is wanted; it is given one of which ids and revision are known and nothing else.
pub(super) type Wanted<'a> = &'a dyn Fn(&PciFunction) -> bool;

/// Takes the PCI functions out of facts, those that are wanted; none where they are not written as [`self`] says.
pub(super) fn take<'a>(facts: &'a str, wanted: Wanted<'_>) -> Option<Taken<'a>> {
    let mut reader = Reader {
        text: facts,
        at: 0,
        function_keys: Vec::new(),
        id_keys: Vec::new(),
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

/// A function as it stands there, so that those that are not wanted cost no memory.
#[derive(Default)]
struct Raw<'a> {
    source: &'a str,
    address: &'a str,
    ids: Known<PciIds>,
    revision: Known<u8>,
    modalias: Known<&'a str>,
    driver: Known<&'a str>,
    numa_node: Known<u32>,
    iommu_group: Known<u32>,
    computed_group: Known<u32>,
    multifunction: Known<bool>,
    link: Known<PcieLink>,
    acs: Known<Acs>,
    sriov: Known<Sriov>,
    physical_function: Known<&'a str>,
    slot: Known<&'a str>,
}

impl Raw<'_> {
    fn into_function(self, known: PciFunction) -> PciFunction {
        PciFunction {
            source: self.source.to_owned(),
            address: self.address.to_owned(),
            modalias: self.modalias.map(str::to_owned),
            driver: self.driver.map(str::to_owned),
            numa_node: self.numa_node,
            iommu_group: self.iommu_group,
            computed_group: self.computed_group,
            multifunction: self.multifunction,
            link: self.link,
            acs: self.acs,
            sriov: self.sriov,
            physical_function: self.physical_function.map(str::to_owned),
            slot: self.slot.map(str::to_owned),
            ..known
        }
    }
}

/// Texts of keys, each with its number.
type Heads<'a> = Vec<(&'a [u8], usize)>;

/// Reads forward; nothing it returns is where it gave up, and nobody reads on then.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// How each key of the function before stood there, with the blanks around it and the colon, and its number: most likely
    /// the next function has the same ones in the same order, which is seen at one look.
    function_keys: Heads<'a>,
    /// The same of the numbers that name a function.
    id_keys: Heads<'a>,
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
    fn known<T>(&mut self, value: impl FnOnce(&mut Self) -> Option<T>) -> Option<Known<T>> {
        match self.peek()? {
            b'n' => self.takes("null").then_some(Known::Absent),
            b'{' => {
                let begin = self.at;
                self.at += 1;
                if !self.takes("\"unknown\"") {
                    self.at = begin;
                    return value(self).map(Known::Value);
                }
                self.take(b':')?;
                let reason = self.string()?.to_owned();
                self.take(b'}')?;
                Some(Known::unknown(reason))
            }
            _ => value(self).map(Known::Value),
        }
    }

    fn known_text(&mut self) -> Option<Known<&'a str>> {
        self.known(Self::string)
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

    /// A number as `"0x8086"`.
    fn hexadecimal<T: TryFrom<u32>>(&mut self) -> Option<T> {
        let digits = self.string()?.strip_prefix("0x")?;
        if !matches!(digits.len(), 1..=6) {
            return None;
        }
        let number = digits.bytes().try_fold(0_u32, |number, digit| {
            Some(number << 4 | char::from(digit).to_digit(16)?)
        })?;
        T::try_from(number).ok()
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
            let mut raw = self.function()?;
            let known = PciFunction {
                ids: std::mem::take(&mut raw.ids),
                revision: std::mem::take(&mut raw.revision),
                ..PciFunction::default()
            };
            if wanted(&known) {
                functions.push(raw.into_function(known));
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
                2 => raw.ids = reader.known(Self::ids)?,
                3 => raw.revision = reader.known(Self::number)?,
                4 => raw.modalias = reader.known_text()?,
                5 => raw.driver = reader.known_text()?,
                6 => raw.numa_node = reader.known(Self::number)?,
                7 => raw.iommu_group = reader.known(Self::number)?,
                8 => raw.computed_group = reader.known(Self::number)?,
                9 => raw.multifunction = reader.known(Self::truth)?,
                10 => raw.link = reader.known(Self::link)?,
                11 => raw.acs = reader.known(Self::acs)?,
                12 => raw.sriov = reader.known(Self::sriov)?,
                13 => raw.physical_function = reader.known_text()?,
                _ => raw.slot = reader.known_text()?,
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
    fn numbers<const N: usize>(&mut self, keys: [&str; N]) -> Option<[u32; N]> {
        let mut numbers = [None; N];
        self.object(|reader, key| {
            let place = keys.iter().position(|known| *known == key)?;
            let before = numbers[place].replace(reader.number::<u32>()?);
            before.is_none().then_some(())
        })?;
        let mut all = [0; N];
        for (to, from) in all.iter_mut().zip(numbers) {
            *to = from?;
        }
        Some(all)
    }

    fn link(&mut self) -> Option<PcieLink> {
        let keys = ["speed_mts", "width", "max_speed_mts", "max_width"];
        let [speed_mts, width, max_speed_mts, max_width] = self.numbers(keys)?;
        Some(PcieLink {
            speed_mts,
            width: width.try_into().ok()?,
            max_speed_mts,
            max_width: max_width.try_into().ok()?,
        })
    }

    fn acs(&mut self) -> Option<Acs> {
        let [capability, control] = self.numbers(["capability", "control"])?;
        Some(Acs {
            capability: capability.try_into().ok()?,
            control: control.try_into().ok()?,
        })
    }

    fn sriov(&mut self) -> Option<Sriov> {
        let [total, enabled] = self.numbers(["total", "enabled"])?;
        Some(Sriov { total, enabled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;
    use proptest::prelude::*;

    /// What serde makes of it, or says about it.
    fn by_serde(text: &str) -> Result<Facts, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Both ways say the same.
    fn same(text: &str) {
        let both = Facts::from_text(text).map_err(|error| error.to_string());
        assert_eq!(both, by_serde(text), "{text}");
    }

    fn function(number: u8) -> PciFunction {
        let odd = |value: u32| {
            if number % 2 == 1 {
                Known::Value(value)
            } else {
                Known::Absent
            }
        };
        let address = format!("0000:00:{number:02x}.0");
        let ids = PciIds {
            vendor: 0x8086,
            device: u16::from(number),
            subsystem_vendor: Some(0x1028),
            subsystem_device: number.is_multiple_of(3).then_some(7),
            class: 0x02_0000,
            interface_unknown: number == 5,
        };
        PciFunction {
            source: format!("/sys/bus/pci/devices/{address}"),
            address,
            modalias: Known::Value(ids.to_modalias()),
            ids: Known::Value(ids),
            revision: Known::Value(number),
            driver: Known::Value("gerät".to_owned()),
            numa_node: odd(0),
            iommu_group: odd(u32::MAX),
            computed_group: odd(3),
            multifunction: Known::Value(number.is_multiple_of(2)),
            link: Known::Value(PcieLink {
                speed_mts: 8000,
                width: 8,
                max_speed_mts: 16_000,
                max_width: 16,
            }),
            acs: Known::Value(Acs {
                capability: 0x5f,
                control: 0x1d,
            }),
            sriov: Known::Value(Sriov {
                total: 64,
                enabled: 0,
            }),
            physical_function: Known::Absent,
            slot: Known::unknown("not read (suspended)"),
        }
    }

    fn facts(functions: u8) -> Facts {
        Facts {
            schema: 1,
            pci: Known::Value((0..functions).map(function).collect()),
            ..Facts::default()
        }
    }

    /// The forms that users make of what `facts --json` writes: by themselves, by `jq -c`, by `jq -cS`, by Python.
    fn forms(facts: &Facts) -> [String; 4] {
        let compact = serde_json::to_string(facts).expect("JSON");
        let pretty = serde_json::to_string_pretty(facts).expect("JSON");
        let value: serde_json::Value = serde_json::from_str(&compact).expect("JSON");
        let spaced = pretty.replace('\n', " ");
        [compact, pretty, value.to_string(), spaced]
    }

    #[test]
    fn what_facts_writes_is_read_here() {
        let facts = facts(9);
        for form in forms(&facts) {
            let taken = take(&form, &|_| true).expect("it is read here");
            assert_eq!(Known::Value(taken.functions), facts.pci, "{form}");
            same(&form);
        }
    }

    #[test]
    fn those_that_are_wanted_are_kept() {
        let facts = facts(9);
        for form in forms(&facts) {
            let even = |function: &PciFunction| {
                assert!(function.address.is_empty(), "{function:?}");
                function
                    .revision
                    .value()
                    .is_some_and(|revision| revision % 2 == 0)
            };
            let taken = take(&form, &even).expect("it is read here");
            let expected: Vec<PciFunction> = (0..9).step_by(2).map(function).collect();
            assert_eq!(taken.functions, expected, "{form}");
        }
    }

    /// Keys in another order in each function, some left out.
    #[test]
    fn what_is_learned_of_one_function_is_no_more_than_a_guess() {
        let functions = [
            "{\"address\":\"a\",\"driver\":null}",
            "{\"driver\":null, \"address\": \"b\"}",
            "{ \"driver\":null,\"address\":\"c\"}",
            "{\"address\":\"d\"}",
            "{}",
            "{\"address\":\"e\",\"driver\":\"x\",\"revision\":7}",
            "{\"address\":\"f\",\"driver\":\"x\",\"revision\":7}",
        ];
        let text = format!("{{\"schema\":1,\"pci\":[{}]}}", functions.join(","));
        assert!(take(&text, &|_| true).is_some(), "{text}");
        same(&text);
        let twice = text.replace(
            "\"address\":\"f\",\"driver\"",
            "\"address\":\"f\",\"address\"",
        );
        assert!(take(&twice, &|_| true).is_none(), "{twice}");
        same(&twice);
    }

    #[test]
    fn what_is_written_in_another_way_is_left_to_serde() {
        let with = |function: &str| {
            format!("{{\"schema\":1,\"pci\":[{{\"address\":\"a\"}},{function}],\"nics\":[]}}")
        };
        for other in [
            "{\"address\":\"\\u0061\"}",
            "{\"addr\\u0065ss\":\"a\"}",
            "{\"address\":\"a\",\"from_the_future\":[1,{\"a\":null}]}",
            "{\"address\":\"a\",\"address\":\"a\"}",
            "{\"ids\":{\"vendor\":\"0x8086\",\"class\":\"0x020000\"}}",
            "{\"ids\":{\"vendor\":\"8086\",\"device\":\"0X1\",\"class\":\" 0x2 \"}}",
            "{\"ids\":{\"vendor\":\"0x18086\",\"device\":\"0x1\",\"class\":\"0x2\"}}",
            "{\"ids\":{}}",
            "{\"revision\":256}",
            "{\"revision\":-1}",
            "{\"revision\":1.0}",
            "{\"revision\":01}",
            "{\"revision\":1e0}",
            "{\"iommu_group\":4294967296}",
            "{\"iommu_group\":99999999999999999999}",
            "{\"driver\":{\"unknown\":\"a\",\"b\":1}}",
            "{\"driver\":{\"unknown\":null}}",
            "{\"driver\":{}}",
            "{\"driver\":nul}",
            "{\"link\":{\"speed_mts\":1}}",
            "{\"sriov\":{\"total\":1,\"enabled\":1,\"total\":1}}",
            "{\"address\":\"a\",}",
            "{\"address\" \"a\"}",
            "{\"address\":\"a",
            "[]",
            "null",
            "",
        ] {
            let text = with(other);
            assert!(take(&text, &|_| true).is_none(), "{text}");
            same(&text);
        }
        for text in [
            "{\"schema\":1,\"pci\":[],\"pci\":[]}",
            "{\"schema\":1,\"pci\":[],\"pci\":null}",
            "{\"schema\":1,\"pci\":null}",
            "{\"schema\":1,\"pci\":{\"unknown\":\"x\"}}",
            "{\"schema\":1,\"pci\":[]} x",
            "{\"schema\":1,\"pci\":[],}",
            "{\"schema\":1,\"pci\":[],\"nics\":[{]}}",
            "{\"schema\":1,\"nics\":[[{}},\"pci\":[]]}",
            "{\"schema\":1,\"dmi\":{\"pci\":[{}]}}",
            // Blanks of other languages: at the depth of the machine, below it, and between functions.
            "{\"schema\":1,\"dmi\":{\u{c}},\"pci\":[]}",
            "{\"schema\":1,\"dmi\":\u{c},\"pci\":[]}",
            "{\"schema\":1,\"dmi\":[1\u{c}],\"pci\":[]}",
            "{\"schema\":1,\"dmi\":{\u{b}},\"pci\":[]}",
            "{\"schema\":1,\"dmi\":{\u{a0}},\"pci\":[]}",
            "{\"schema\":1,\"pci\":[\u{c}]}",
            "{\u{c}\"schema\":1,\"pci\":[]}",
            "{\"schema\":1,\"pci\":[{\"address\":\"a\"}]",
            "[]",
            "",
        ] {
            same(text);
        }
        let empty = "{\"schema\":1,\"pci\":[],\"dmi\":{\"serial\":\"a\\\"]}\"}}";
        assert!(take(empty, &|_| true).is_some_and(|taken| taken.functions.is_empty()));
        same(empty);
    }

    proptest! {
        /// A piece of the text is left out, doubled or replaced.
        #[test]
        fn damaged_facts_are_read_as_serde_reads_them(
            form in 0_usize..4,
            functions in 0_u8..3,
            at in any::<proptest::sample::Index>(),
            length in 0_usize..30,
            put in prop_oneof![
                Just(String::new()),
                "[{}\\[\\]:,\"\\\\0-9a-z. \u{0}\u{b}\u{c}\u{a0}-]{1,6}",
                Just("null".to_owned()),
                Just("{\"unknown\":\"why\"}".to_owned()),
                Just("\"pci\":[]".to_owned()),
            ],
            twice: bool,
        ) {
            let mut text = forms(&facts(functions))[form].clone();
            let begin = at.index(text.len());
            let begin = (0..=begin).rev().find(|&begin| text.is_char_boundary(begin)).unwrap_or(0);
            let end = (begin + length).min(text.len());
            let end = (end..=text.len()).find(|&end| text.is_char_boundary(end)).unwrap_or(begin);
            let put = if twice { format!("{}{put}", &text[begin..end]) } else { put };
            text.replace_range(if twice { end..end } else { begin..end }, &put);
            let both = Facts::from_text(&text).map_err(|error| error.to_string());
            prop_assert_eq!(both, by_serde(&text), "{}", text);
        }
    }
}
