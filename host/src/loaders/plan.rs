//! What is to be done next with the boot loaders: one thing at each good boot.
//!
//! The order keeps something that is known to start the host until what takes its place has started it: first the loader that
//! the firmware is told to start, then, after a boot through it, the one that it falls back to, then the configuration that both
//! read, and the other disk of a mirror last, when the first one started the host with all of it.

/// Something on a disk that takes part in starting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// GRUB for UEFI where the entry in the firmware's list leads.
    Vendor,
    /// GRUB for UEFI where firmware looks that has no entry.
    Fallback,
    /// GRUB for BIOS: boot sector and core image.
    Bios,
    /// `grub.cfg`, which all of them read; without Secure Boot only.
    Config,
}

impl Place {
    /// In the order in which they are written.
    pub const ALL: [Place; 4] = [Place::Vendor, Place::Fallback, Place::Bios, Place::Config];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Place::Vendor => slots::names::EFI_VENDOR,
            Place::Fallback => slots::names::EFI_FALLBACK,
            Place::Bios => "the boot code for BIOS",
            Place::Config => slots::grub_cfg::GRUB_CFG,
        }
    }
}

/// What is in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// What the running release brings.
    Current,
    /// Something else that may be replaced, or a file that is missing.
    Old,
    /// Nothing, and nothing belongs there.
    Absent,
    /// Something that must not be replaced; why, and what to do.
    Refused(String),
}

/// What is on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// In [`Place::Vendor`].
    pub vendor: Found,
    /// In [`Place::Fallback`].
    pub fallback: Found,
    /// In [`Place::Bios`].
    pub bios: Found,
    /// In [`Place::Config`].
    pub config: Found,
}

impl Seen {
    /// What is in that place.
    pub fn at(&self, place: Place) -> &Found {
        match place {
            Place::Vendor => &self.vendor,
            Place::Fallback => &self.fallback,
            Place::Bios => &self.bios,
            Place::Config => &self.config,
        }
    }

    /// Whether nothing of it is to be written.
    pub fn is_settled(&self) -> bool {
        Place::ALL
            .iter()
            .all(|place| *self.at(*place) != Found::Old)
    }

    fn old(&self, places: &[Place]) -> Vec<Place> {
        let old = |place: &&Place| *self.at(**place) == Found::Old;
        places.iter().filter(old).copied().collect()
    }

    fn refused(&self) -> Option<String> {
        Place::ALL.iter().find_map(|place| match self.at(*place) {
            Found::Refused(reason) => Some(reason.clone()),
            _ => None,
        })
    }
}

/// How the firmware came to the loader of this boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A BIOS, by the boot sector.
    Bios,
    /// UEFI, by an entry that names [`Place::Vendor`] of the first disk.
    Vendor,
    /// UEFI, by [`Place::Fallback`].
    Fallback,
    /// That cannot be found out; why.
    Unknown(String),
}

/// What is decided by.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The disk that this boot came from.
    pub first: &'a Seen,
    /// The other one of a mirror, where it was looked at: when nothing is to be written on the first.
    pub other: Option<&'a Seen>,
    /// How this boot came.
    pub way: &'a Way,
    /// Why nothing may be touched for now.
    pub waits: Option<&'a str>,
    /// The newer release that the loaders are of.
    pub newer: Option<&'a str>,
    /// Something was done since this boot began: what is on the disk is not what started it.
    pub changed: bool,
    /// How often the firmware was asked to start [`Place::Vendor`], and has not.
    pub asked: u32,
}

/// A disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one that this boot came from.
    First,
    /// The other one of a mirror.
    Other,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: everything is as the release brings it.
    Nothing,
    /// To write these places, in their order.
    Put(Which, Vec<Place>),
    /// To have the firmware start [`Place::Vendor`] once: by itself it falls back, and nothing has shown that the new loader starts.
    AskFirmware,
    /// Nothing for now; why.
    Leave(String),
    /// Nothing, and somebody should look; why, and what to do.
    Held(String),
}

/// The firmware is asked this often; one that ignores it is not asked for ever.
pub const ASKS: u32 = 3;

/// Decides.
pub fn plan(situation: &Situation<'_>) -> Next {
    let Situation { first, other, .. } = *situation;
    if let Some(reason) = situation.waits {
        return Next::Leave(reason.to_owned());
    }
    let settled = first.is_settled() && other.is_none_or(Seen::is_settled);
    if let Some(newer) = situation.newer.filter(|_| !settled) {
        return Next::Leave(format!(
            "they are those of {newer}, which is newer than what runs, and stay: each starts every release"
        ));
    }
    if situation.changed && !settled {
        return Next::Leave("one thing was changed since this start; the next comes when the host was restarted and is good".to_owned());
    }
    let next = match situation.way {
        Way::Bios => by_bios(first),
        _ => by_uefi(first, situation),
    };
    if let Some(next) = next {
        return next;
    }
    if let Some(other) = other {
        if let Some(reason) = other.refused() {
            return Next::Held(reason);
        }
        let places = other.old(&Place::ALL);
        if !places.is_empty() {
            return Next::Put(Which::Other, places);
        }
    }
    // What this machine does not start from: told, and in nobody's way.
    first.refused().map_or(Next::Nothing, Next::Leave)
}

/// On a machine that starts by BIOS; none where nothing is left to do on the disk.
fn by_bios(first: &Seen) -> Option<Next> {
    match &first.bios {
        Found::Old => return Some(Next::Put(Which::First, vec![Place::Bios])),
        Found::Refused(reason) => return Some(Next::Held(reason.clone())),
        Found::Absent => {
            return Some(Next::Held(
                "the machine starts by BIOS, and the disk has no boot code of GRUB's: start it as it was installed".to_owned(),
            ));
        }
        Found::Current => {}
    }
    // The firmware never starts these, so that there is nothing to wait for.
    put(first, &[Place::Vendor, Place::Fallback]).or_else(|| put(first, &[Place::Config]))
}

/// On a machine that starts by UEFI; none where nothing is left to do on the disk.
fn by_uefi(first: &Seen, situation: &Situation<'_>) -> Option<Next> {
    for found in [&first.vendor, &first.fallback] {
        if let Found::Refused(reason) = found {
            return Some(Next::Held(reason.clone()));
        }
    }
    if first.vendor == Found::Old {
        return put(first, &[Place::Vendor]);
    }
    if first.fallback == Found::Old {
        return Some(match situation.way {
            Way::Unknown(reason) => Next::Held(format!(
                "the new loader is in {} and not yet in {}, because it is not known whether this boot went through it: {reason}",
                Place::Vendor.name(),
                Place::Fallback.name()
            )),
            Way::Vendor | Way::Bios => {
                Next::Put(Which::First, first.old(&[Place::Fallback, Place::Bios]))
            }
            Way::Fallback if situation.asked < ASKS => Next::AskFirmware,
            Way::Fallback => Next::Held(format!(
                "the firmware starts {} only, and did not start the new loader in {} when it was asked to: start the entry {} once \
                 in the firmware's boot menu, and the old loader is replaced",
                Place::Fallback.name(),
                Place::Vendor.name(),
                slots::names::EFI_LABEL
            )),
        });
    }
    put(first, &[Place::Bios]).or_else(|| put(first, &[Place::Config]))
}

fn put(first: &Seen, places: &[Place]) -> Option<Next> {
    let places = first.old(places);
    (!places.is_empty()).then_some(Next::Put(Which::First, places))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One character a place, in the order of [`Place::ALL`]: current, old, absent, refused.
    fn seen(text: &str) -> Seen {
        let mut found = text.chars().map(|letter| match letter {
            'c' => Found::Current,
            'o' => Found::Old,
            '-' => Found::Absent,
            _ => Found::Refused("not ours".into()),
        });
        let mut next = || found.next().unwrap();
        Seen {
            vendor: next(),
            fallback: next(),
            bios: next(),
            config: next(),
        }
    }

    fn decide(first: &str, other: &str, way: &Way) -> Next {
        let other = (!other.is_empty()).then(|| seen(other));
        plan(&Situation {
            first: &seen(first),
            other: other.as_ref(),
            way,
            waits: None,
            newer: None,
            changed: false,
            asked: 0,
        })
    }

    #[test]
    fn one_thing_at_a_time_in_an_order_that_keeps_a_way_to_start() {
        use Place::{Bios, Config, Fallback, Vendor};
        use Which::{First, Other};
        let put = |which, places: &[Place]| Next::Put(which, places.to_vec());
        let table = [
            (Way::Vendor, "cccc", "", Next::Nothing),
            (Way::Vendor, "oooo", "", put(First, &[Vendor])),
            (Way::Fallback, "oooo", "", put(First, &[Vendor])),
            (Way::Vendor, "cooo", "", put(First, &[Fallback, Bios])),
            (Way::Vendor, "co-o", "", put(First, &[Fallback])),
            (Way::Fallback, "cooo", "", Next::AskFirmware),
            (Way::Fallback, "ccoo", "", put(First, &[Bios])),
            (Way::Vendor, "ccco", "", put(First, &[Config])),
            (Way::Vendor, "cc-o", "", put(First, &[Config])),
            (Way::Bios, "oooo", "", put(First, &[Bios])),
            (Way::Bios, "ooco", "", put(First, &[Vendor, Fallback])),
            (Way::Bios, "ccco", "", put(First, &[Config])),
            // The other disk is looked at when the first one is done.
            (
                Way::Vendor,
                "cccc",
                "oooo",
                put(Other, &[Vendor, Fallback, Bios, Config]),
            ),
            (Way::Bios, "cccc", "cc-o", put(Other, &[Config])),
            (Way::Bios, "cccc", "cccc", Next::Nothing),
            // Something of another one.
            (Way::Vendor, "xooo", "", Next::Held("not ours".into())),
            (Way::Vendor, "oxoo", "", Next::Held("not ours".into())),
            (Way::Bios, "ooxo", "", Next::Held("not ours".into())),
            (Way::Vendor, "cccc", "oxcc", Next::Held("not ours".into())),
            // The firmware of this machine never comes there.
            (Way::Vendor, "ooxo", "", put(First, &[Vendor])),
            (Way::Vendor, "ccxo", "", put(First, &[Config])),
            (Way::Vendor, "ccxc", "", Next::Leave("not ours".into())),
            (Way::Bios, "xxco", "", put(First, &[Config])),
        ];
        for (way, first, other, expected) in table {
            assert_eq!(
                decide(first, other, &way),
                expected,
                "{way:?} {first} {other}"
            );
        }
    }

    #[test]
    fn what_cannot_be_known_and_what_the_firmware_does_not_do_is_held() {
        let unknown = Way::Unknown("no variables".into());
        assert_eq!(
            decide("oooo", "", &unknown),
            Next::Put(Which::First, vec![Place::Vendor])
        );
        assert!(
            matches!(decide("cooo", "", &unknown), Next::Held(r) if r.contains("no variables"))
        );
        assert!(matches!(decide("oo-o", "", &Way::Bios), Next::Held(_)));
        let first = seen("cooo");
        let asked = plan(&Situation {
            asked: ASKS,
            ..situation(&first)
        });
        assert!(matches!(asked, Next::Held(r) if r.contains("boot menu")));
    }

    fn situation(first: &Seen) -> Situation<'_> {
        Situation {
            first,
            other: None,
            way: &Way::Fallback,
            waits: None,
            newer: None,
            changed: false,
            asked: 0,
        }
    }

    #[test]
    fn nothing_is_touched_while_a_half_is_away_by_an_older_release_or_twice_in_one_boot() {
        let first = seen("oooo");
        let of = |situation: Situation<'_>| match plan(&situation) {
            Next::Leave(reason) => reason,
            other => panic!("{other:?}"),
        };
        let waits = Situation {
            waits: Some("the mirror is not whole"),
            ..situation(&first)
        };
        assert_eq!(of(waits), "the mirror is not whole");
        let newer = Situation {
            newer: Some("1.0.2"),
            ..situation(&first)
        };
        assert!(of(newer).contains("those of 1.0.2"));
        let changed = Situation {
            changed: true,
            ..situation(&first)
        };
        assert!(of(changed).contains("the next comes"));
        let done = seen("cccc");
        let all = Situation {
            changed: true,
            newer: Some("1.0.2"),
            ..situation(&done)
        };
        assert_eq!(plan(&all), Next::Nothing);
    }
}
