//! A PCI function as it stands in a text, before anything of it is kept.

use super::Wanted;
use crate::facts::{Acs, PciFunction, PciIds, PcieLink, Sriov};
use crate::known::Known;

/// A fact as it stands there: nothing of it is owned, so that those of functions that are not wanted cost nothing.
#[derive(Clone, Copy, Default)]
pub(super) enum Field<'a, T> {
    #[default]
    LeftOut,
    Null,
    Unknown(&'a str),
    Value(T),
}

impl<T> Field<'_, T> {
    fn known(self) -> Known<T> {
        match self {
            Self::LeftOut => Known::default(),
            Self::Null => Known::Absent,
            Self::Unknown(reason) => Known::unknown(reason.to_owned()),
            Self::Value(value) => Known::Value(value),
        }
    }
}

impl Field<'_, &str> {
    fn text(self) -> Known<String> {
        self.known().map(str::to_owned)
    }
}

/// A function as it stands there.
#[derive(Default)]
pub(super) struct Raw<'a> {
    pub(super) source: &'a str,
    pub(super) address: &'a str,
    pub(super) ids: Field<'a, PciIds>,
    pub(super) revision: Field<'a, u8>,
    pub(super) modalias: Field<'a, &'a str>,
    pub(super) driver: Field<'a, &'a str>,
    pub(super) numa_node: Field<'a, u32>,
    pub(super) iommu_group: Field<'a, u32>,
    pub(super) computed_group: Field<'a, u32>,
    pub(super) multifunction: Field<'a, bool>,
    pub(super) link: Field<'a, PcieLink>,
    pub(super) acs: Field<'a, Acs>,
    pub(super) sriov: Field<'a, Sriov>,
    pub(super) physical_function: Field<'a, &'a str>,
    pub(super) slot: Field<'a, &'a str>,
}

impl Raw<'_> {
    /// One whose numbers are not known always is.
    pub(super) fn is_wanted(&self, wanted: Wanted<'_>) -> bool {
        let revision = match self.revision {
            Field::Value(revision) => Some(revision),
            _ => None,
        };
        match &self.ids {
            Field::Value(ids) => wanted(ids, revision),
            _ => true,
        }
    }

    pub(super) fn function(self) -> PciFunction {
        PciFunction {
            source: self.source.to_owned(),
            address: self.address.to_owned(),
            ids: self.ids.known(),
            revision: self.revision.known(),
            modalias: self.modalias.text(),
            driver: self.driver.text(),
            numa_node: self.numa_node.known(),
            iommu_group: self.iommu_group.known(),
            computed_group: self.computed_group.known(),
            multifunction: self.multifunction.known(),
            link: self.link.known(),
            acs: self.acs.known(),
            sriov: self.sriov.known(),
            physical_function: self.physical_function.text(),
            slot: self.slot.text(),
        }
    }
}
