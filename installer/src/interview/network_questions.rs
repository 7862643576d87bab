//! The questions about the network.

use super::prompt::PromptError;
use super::questions::{Interview, NOTHING, told};
use crate::tui::effects::{Job, Message};
use crate::tui::network_draft::{BONDS, FIXED4, FIXED6, IPV4, IPV6};
use crate::tui::screens::Screen;
use hcl_checker::Known;
use hcl_checker::facts::{Nic, NicKind, natural};

impl Interview<'_> {
    /// Which interfaces, addresses and servers.
    pub(super) fn network(&mut self) -> Result<(), PromptError> {
        loop {
            self.interfaces()?;
            let ipv4 = self.option("IPv4", &IPV4, self.draft.network.ipv4)?;
            self.draft.network.ipv4 = ipv4;
            if ipv4 == FIXED4 {
                self.field(
                    "Address with prefix length, for example 192.0.2.10/24",
                    |draft| &mut draft.network.address,
                )?;
                self.field("Router, or nothing", |draft| &mut draft.network.gateway)?;
            }
            let ipv6 = self.option("IPv6", &IPV6, self.draft.network.ipv6)?;
            self.draft.network.ipv6 = ipv6;
            if ipv6 == FIXED6 {
                self.field(
                    "Address with prefix length, for example 2001:db8::10/64",
                    |draft| &mut draft.network.address6,
                )?;
                self.field("Router, or nothing", |draft| &mut draft.network.gateway6)?;
            }
            self.field("VLAN, or nothing", |draft| &mut draft.network.vlan)?;
            self.field("MTU, or nothing", |draft| &mut draft.network.mtu)?;
            self.field("Name servers with spaces between, or nothing", |draft| {
                &mut draft.network.dns
            })?;
            self.field("Search domains, or nothing", |draft| {
                &mut draft.network.search
            })?;
            self.field("Time servers, or nothing", |draft| &mut draft.network.ntp)?;
            if self.is_wrong(Screen::Network)? {
                continue;
            }
            let mut problems = Vec::new();
            if self
                .prompt
                .line("Try this network now? Type y, or nothing to go on:")?
                == "y"
                && let Some(choice) = self.draft.network.choice(&mut problems)
            {
                self.say("This can take 30 seconds ...")?;
                for message in told(self.effects, Job::TestNetwork(Box::new(choice))) {
                    let Message::Tested(checks) = message else {
                        continue;
                    };
                    for check in checks {
                        let mark = if check.good { "good" } else { "BAD" };
                        self.say(&format!("{mark}: {}: {}", check.what, check.found))?;
                    }
                }
                if self
                    .prompt
                    .line("Type c to change the network, or nothing to go on:")?
                    == "c"
                {
                    continue;
                }
            }
            return Ok(());
        }
    }

    fn interfaces(&mut self) -> Result<(), PromptError> {
        let nics = self.subject.facts.nics.value().cloned().unwrap_or_default();
        let mut wired: Vec<Nic> = nics
            .into_iter()
            .filter(|nic| nic.kind == Known::Value(NicKind::Ethernet))
            .collect();
        wired.sort_by_cached_key(|nic| natural(&nic.name));
        if wired.len() < 2 {
            return Ok(());
        }
        let links = self.effects.links();
        self.say("\nNetwork interfaces:")?;
        for (index, nic) in wired.iter().enumerate() {
            let mac = nic.mac.value().map_or("", String::as_str);
            let now = links.iter().find(|link| link.name == nic.name);
            let up = now.map_or(nic.carrier == Known::Value(true), |link| link.up);
            let link = if up { "link" } else { "no link" };
            self.say(&format!("  {}. {}, {mac}, {link}", index + 1, nic.name))?;
        }
        loop {
            let line = self.prompt.line(&format!(
                "Which for management? Numbers with spaces between make a bond; nothing means the first with a link{}:",
                shown_list(&self.draft.network.interfaces)
            ))?;
            let chosen: Option<Vec<String>> = line
                .split_whitespace()
                .map(|word| {
                    let index = word.parse::<usize>().ok()?.checked_sub(1)?;
                    Some(wired.get(index)?.name.clone())
                })
                .collect();
            match (line.as_str(), chosen) {
                ("", _) => break,
                (NOTHING, _) => {
                    self.draft.network.interfaces.clear();
                    break;
                }
                (_, Some(mut chosen)) => {
                    let mut seen = std::collections::BTreeSet::new();
                    chosen.retain(|name| seen.insert(name.clone()));
                    self.draft.network.interfaces = chosen;
                    break;
                }
                (_, None) => self.say(&format!("Type numbers from 1 to {}.", wired.len()))?,
            }
        }
        if self.draft.network.interfaces.len() > 1 {
            self.draft.network.bond = self.option("Bond", &BONDS, self.draft.network.bond)?;
        }
        Ok(())
    }
}

fn shown_list(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(" [{}]", names.join(" "))
    }
}
