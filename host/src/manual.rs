//! Manual pages, made of the same table as the help.

use crate::class::Class;
use crate::commands::Command;
use std::fmt::Write;

/// Name of the page about all of `xe`, and of those about a class.
pub fn pages() -> Vec<(String, String)> {
    let mut pages = vec![("xe.1".to_owned(), overview())];
    for group in groups() {
        pages.push((format!("xe-{group}.1"), page(&group)));
    }
    pages
}

/// The first words of the names of commands.
fn groups() -> Vec<String> {
    let mut groups: Vec<_> = Command::all().iter().map(group_of).collect();
    groups.sort();
    groups.dedup();
    groups.retain(|group| group != "help");
    groups
}

/// `vm` of `vm-list`; a command of one word is of the class of that name.
fn group_of(command: &Command) -> String {
    let name = command.name();
    name.split('-').next().unwrap_or_default().to_owned()
}

/// Text as roff takes it literally.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

// Writing to a String does not fail.
fn heading(text: &mut String, title: &str, about: &str) {
    let _ = writeln!(
        text,
        ".TH {} 1 \"\" \"Bedplate {}\" \"Bedplate\"",
        title.to_uppercase(),
        env!("CARGO_PKG_VERSION")
    );
    let _ = writeln!(text, ".SH NAME\n{} \\- {}", escape(title), escape(about));
}

fn overview() -> String {
    let mut text = String::new();
    heading(&mut text, "xe", "manage a Bedplate host");
    text += ".SH SYNOPSIS\n.B xe\n.I COMMAND\n[\\fINAME\\fR=\\fIVALUE\\fR ...] [\\-\\-minimal | \\-\\-json] [\\-\\-multiple]\n";
    text += ".SH DESCRIPTION\n";
    for paragraph in DESCRIPTION {
        let _ = writeln!(text, ".PP\n{}", escape(paragraph));
    }
    text += ".SH OPTIONS\n";
    for (option, about) in OPTIONS {
        let _ = writeln!(text, ".TP\n.B {}\n{}", escape(option), escape(about));
    }
    text += ".SH COMMANDS\n";
    for command in Command::all() {
        let _ = writeln!(
            text,
            ".TP\n.B {}\n{}.",
            escape(&command.name()),
            escape(&command.summary())
        );
    }
    text += ".SH EXIT STATUS\n";
    for (code, about) in [
        ("0", "Done."),
        (
            "1",
            "It failed: a symbolic code, a sentence and parameters are on standard error.",
        ),
        ("2", "Wrong use; nothing was done."),
    ] {
        let _ = writeln!(text, ".TP\n.B {code}\n{}", escape(about));
    }
    text += ".SH FILES\n";
    for (file, about) in FILES {
        let _ = writeln!(text, ".TP\n.I {}\n{}", escape(file), escape(about));
    }
    text += ".SH SEE ALSO\n";
    let others: Vec<_> = groups()
        .iter()
        .map(|group| format!(".BR {} (1)", escape(&format!("xe-{group}"))))
        .chain([".BR virsh (1)".to_owned(), ".BR xl (1)".to_owned()])
        .collect();
    let _ = writeln!(text, "{}", others.join(",\n"));
    text
}

const DESCRIPTION: [&str; 6] = [
    "xe manages the host that it runs on: guests, disks, networks, hotfixes and the license.",
    "Arguments are NAME=VALUE; --x is short for x=true. Lists are filtered by FIELD=VALUE, MAP:KEY=VALUE and \
     SET:contains=VALUE; params= chooses the fields, params=all shows them all.",
    "Commands that act on something find it by uuid=UUID, by CLASS=NAME (vm=web), or by any field. They act on exactly one, \
     unless --multiple is given.",
    "In lists a field is followed by how it can be used: RO it is read, RW it can be set by param-set; SRO and SRW are sets, \
     MRO and MRW are maps, for param-add and param-remove.",
    "Sizes are bytes, or whole numbers with KiB, MiB, GiB or TiB.",
    "Virtual machines are libvirt's: what xe makes is seen by virsh and virt-manager, and the other way round.",
];

const OPTIONS: [(&str, &str); 3] = [
    (
        "--minimal",
        "Prints the first field of each record on one line, with commas in between; commas and backslashes in values have a \
         backslash in front.",
    ),
    (
        "--json",
        "Prints an array of objects: a record each in lists, and of a command that does something one for each thing that it did it to: \
         uuid of what was made, message, or members of its own, as state and days-left where the license changed; none where there \
         is nothing to say. What is unknown is null. Errors stay text on standard error.",
    ),
    ("--multiple", "Acts on all records that are found."),
];

const FILES: [(&str, &str); 6] = [
    ("/srv/iso", "ISO images, which cd-list shows."),
    (
        "/etc/libvirt/libxl",
        "The definitions of virtual machines, kept by libvirt.",
    ),
    (
        "/var/lib/bedplate/xe",
        "Snapshots' definitions, and names that were given to networks, disks and the like.",
    ),
    (
        "/dev/bedplate",
        "The local storage: a logical volume for each virtual disk. Storage on more disks is in /dev/bedplate-NAME.",
    ),
    (
        "/srv/storage",
        "Storage repositories of files that were made when the host was installed.",
    ),
    (
        "/srv/xen",
        "Storage repositories of files, which sr-create makes.",
    ),
];

fn page(group: &str) -> String {
    let mut text = String::new();
    let class = Class::named(group);
    let about = class.map_or_else(
        || format!("the command {group} of xe"),
        |class| format!("the commands of xe for {}", class.plural),
    );
    heading(&mut text, &format!("xe-{group}"), &about);
    text += ".SH COMMANDS\n";
    for command in Command::all() {
        if group_of(&command) != group {
            continue;
        }
        let _ = writeln!(
            text,
            ".SS xe {} {}\n{}.",
            escape(&command.name()),
            escape(&command.usage()),
            escape(&command.summary())
        );
        for arg in command.args() {
            let _ = writeln!(
                text,
                ".TP\n.B {}\n{}",
                escape(&arg.usage()),
                escape(arg.about)
            );
        }
    }
    if let Some(class) = class {
        text += ".SH FIELDS\n";
        for field in class.fields {
            let _ = writeln!(
                text,
                ".TP\n.B {}\n({})",
                escape(field.name),
                field.access.to_string().trim()
            );
        }
    }
    text += ".SH SEE ALSO\n.BR xe (1)\n";
    text
}
