//! A network of the machine that tests and one guest, whose DHCP and DNS servers say what a case wants: those inside of QEMU
//! know no options for private use and no TXT records.

use crate::process;
use anyhow::{Context, Result};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command};
use std::time::Duration;

/// The interface on the side of the machine that tests.
const INTERFACE: &str = "bedplate-lan0";
/// Its address, of the block for tests of networks (RFC 2544): nobody's own.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 1);
/// The domain that DHCP gives, of those for examples (RFC 2606).
pub const DOMAIN: &str = "rack.example.org";
/// How long `ip` may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A network that ends with the value that stands for it.
#[derive(Debug)]
pub struct Lan {
    _interface: Interface,
    /// The servers, while there are any.
    servers: Option<Child>,
}

/// The interface, gone with the value.
#[derive(Debug)]
struct Interface;

impl Lan {
    /// Makes the network, without servers.
    ///
    /// # Errors
    /// When this kernel makes no such interfaces, or this is not root.
    pub fn new() -> Result<Lan> {
        // One that a run left which was killed.
        drop(Interface);
        ip(&["tuntap", "add", "dev", INTERFACE, "mode", "tap"])?;
        let lan = Lan {
            _interface: Interface,
            servers: None,
        };
        ip(&["address", "add", &format!("{ADDRESS}/24"), "dev", INTERFACE])?;
        ip(&["link", "set", INTERFACE, "up"])?;
        Ok(lan)
    }

    /// The address of the machine that tests.
    pub fn address(&self) -> IpAddr {
        ADDRESS.into()
    }

    /// Starts the servers for DHCP and DNS, in place of those before, with further options of dnsmasq(8).
    ///
    /// # Errors
    /// When dnsmasq does not start.
    pub fn serve(&mut self, options: &[String]) -> Result<()> {
        self.stop();
        let [a, b, c, _] = ADDRESS.octets();
        let mut command = Command::new("setpriv");
        command
            .args([
                "--pdeathsig",
                "KILL",
                "--",
                "dnsmasq",
                "--keep-in-foreground",
            ])
            .args([
                "--conf-file=/dev/null",
                "--pid-file=",
                "--no-resolv",
                "--no-hosts",
            ])
            .args([
                "--bind-interfaces",
                "--except-interface=lo",
                "--leasefile-ro",
            ])
            .arg(format!("--interface={INTERFACE}"))
            .arg(format!("--dhcp-range={a}.{b}.{c}.100,{a}.{b}.{c}.120,1h"))
            .arg(format!("--domain={DOMAIN}"))
            .args(options);
        let servers = command.spawn().context("dnsmasq did not start")?;
        self.servers = Some(servers);
        Ok(())
    }

    /// What QEMU's command line says of it.
    pub fn arguments(&self) -> Vec<String> {
        [
            "-netdev",
            &format!("tap,id=net,ifname={INTERFACE},script=no,downscript=no"),
            "-device",
            "virtio-net-pci,netdev=net,mac=52:54:00:be:d0:01,romfile=",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// The servers are still there.
    ///
    /// # Errors
    /// When they have ended: an option is wrong, or something else has their ports.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.servers.as_mut().map(Child::try_wait).transpose()?;
        match ended.flatten() {
            Some(status) => anyhow::bail!("dnsmasq ended ({status}); its last lines say why"),
            None => Ok(()),
        }
    }

    fn stop(&mut self) {
        if let Some(mut servers) = self.servers.take() {
            // It may have ended by itself.
            let _ = servers.kill();
            let _ = servers.wait();
        }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        // There may be none.
        let _ = ip(&["link", "delete", INTERFACE]);
    }
}

fn ip(arguments: &[&str]) -> Result<String> {
    process::run(Command::new("ip").args(arguments), b"", LIMIT)
}
