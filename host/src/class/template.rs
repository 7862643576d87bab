//! Templates for guests.

use super::Class;
use crate::guest::template::{ALL, Template};
use crate::labels::{OTHER_CONFIG, TAGS};
use crate::record::{Field, Record};

pub(super) const CLASS: Class = Class {
    name: "template",
    plural: "templates for virtual machines",
    fields: &[
        Field::listed("uuid"),
        Field::listed("name-label"),
        Field::listed("name-description"),
        Field::more("domain-type"),
        Field::more("memory-static-max"),
        Field::more("VCPUs-max"),
        Field::more("disk-size"),
        OTHER_CONFIG,
        TAGS,
    ],
    labeled: true,
    single: false,
    read: |_, _| Ok(ALL.iter().map(record).collect()),
    write: None,
};

fn record(template: &Template) -> Record {
    Record::new()
        .with("uuid", template.uuid())
        .with("name-label", template.name)
        .with("name-description", template.about)
        .with("domain-type", template.virtualization.name())
        .with("memory-static-max", template.memory)
        .with("VCPUs-max", template.vcpus)
        .with("disk-size", template.disk)
}
