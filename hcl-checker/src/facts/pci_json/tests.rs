//! Both ways of reading are held against each other.

use super::*;
use crate::facts::Facts;
use crate::known::Known;
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
        let taken = take(&form, &|_, _| true).expect("it is read here");
        assert_eq!(Known::Value(taken.functions), facts.pci, "{form}");
        same(&form);
    }
}

#[test]
fn those_that_are_wanted_are_kept() {
    let facts = facts(9);
    for form in forms(&facts) {
        let even =
            |_: &PciIds, revision: Option<u8>| revision.is_some_and(|revision| revision % 2 == 0);
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
    assert!(take(&text, &|_, _| true).is_some(), "{text}");
    same(&text);
    let twice = text.replace(
        "\"address\":\"f\",\"driver\"",
        "\"address\":\"f\",\"address\"",
    );
    assert!(take(&twice, &|_, _| true).is_none(), "{twice}");
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
        "{\"ids\":{\"vendor\":\"0x8086\",\"device\":\"0x1\",\"class\":\"0x0200000\"}}",
        "{\"ids\":{\"vendor\":\"0x8086\",\"device\":\"0x\",\"class\":\"0x2\"}}",
        "{\"ids\":{\"vendor\":\"0x80g6\",\"device\":\"0x1\",\"class\":\"0x2\"}}",
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
        assert!(take(&text, &|_, _| true).is_none(), "{text}");
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
    assert!(take(empty, &|_, _| true).is_some_and(|taken| taken.functions.is_empty()));
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
