//! What a run begins with.

use anyhow::{Result, bail};
use clap::Args;
use hcl_checker::certify::peer::DEFAULT_PORT;
use hcl_checker::certify::{CrashOf, Options, PeerAt};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// Options that a run begins with and keeps. None has a default that clap knows: whether one was given must be seen.
#[derive(Debug, Args)]
pub struct BeginArgs {
    /// Seconds of load on every CPU [default: 60].
    #[arg(long, value_name = "SECONDS")]
    cpu_time: Option<u64>,
    /// Seconds for the memory test [default: 300].
    #[arg(long, value_name = "SECONDS")]
    memory_time: Option<u64>,
    /// MiB of memory to test at most; by default all that is free, less a reserve.
    #[arg(long, value_name = "MIB")]
    memory_limit: Option<u64>,
    /// Disk or volume to test. ITS CONTENT IS LOST. May be given several times.
    #[arg(long, value_name = "PATH")]
    erase_disk: Vec<PathBuf>,
    /// Seconds for each disk [default: 60].
    #[arg(long, value_name = "SECONDS")]
    disk_time: Option<u64>,
    /// MiB to write to each disk at most [default: 16384].
    #[arg(long, value_name = "MIB")]
    disk_limit: Option<u64>,
    /// Where `hcl-checker peer` runs, for each interface to test with traffic.
    #[arg(long, value_name = "INTERFACE=ADDRESS[:PORT]", value_parser = pair)]
    peer: Vec<(String, String)>,
    /// Address to give to an interface for the tests with its peer.
    #[arg(long, value_name = "INTERFACE=ADDRESS/PREFIX", value_parser = address)]
    address: Vec<(String, String)>,
    /// Seconds of traffic in each direction [default: 10].
    #[arg(long, value_name = "SECONDS")]
    net_time: Option<u64>,
    /// VLAN to test on each interface with a peer (198.18.0.0/30 is used in it).
    #[arg(long, value_name = "ID")]
    vlan: Option<u16>,
    /// Make virtual functions on every device that can have them.
    #[arg(long)]
    sriov: bool,
    /// Restart the machine; the run goes on by itself after that.
    #[arg(long)]
    restart: bool,
    /// Crash the kernel or Xen on purpose and collect the dump; the run goes on by itself after that.
    #[arg(long, value_name = "kernel|xen", value_parser = crash)]
    crash: Vec<CrashOf>,
    /// Kernel for test guests; by default that of this host.
    #[arg(long, value_name = "FILE")]
    guest_kernel: Option<PathBuf>,
    /// Only tests whose id starts with this; may be given several times.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Private key that signs the report; made where there is none [default: ~/.config/hcl-checker/submitter.pem].
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// Leave serial numbers and hardware addresses in the report.
    #[arg(long)]
    pub(super) with_serials: bool,
    /// Text that the one who asks for the report wants to see in it.
    #[arg(long, value_name = "TEXT")]
    pub(super) nonce: Option<String>,
    /// Modules folder of the kernel to judge by; by default that of the release.
    #[arg(long, value_name = "DIR")]
    pub(super) modules: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((interface, value)) if !interface.is_empty() && !value.is_empty() => {
            Ok((interface.to_owned(), value.to_owned()))
        }
        _ => Err("give an interface and an address, like eth1=192.0.2.2".to_owned()),
    }
}

fn address(text: &str) -> Result<(String, String), String> {
    let (interface, address) = pair(text)?;
    let good = address.split_once('/').is_some_and(|(address, prefix)| {
        let longest = match address.parse() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest)
    });
    if good {
        Ok((interface, address))
    } else {
        Err("give an address with the length of its prefix, like eth1=192.0.2.1/24".to_owned())
    }
}

fn crash(text: &str) -> Result<CrashOf, String> {
    [CrashOf::Kernel, CrashOf::Xen]
        .into_iter()
        .find(|whom| whom.name() == text)
        .ok_or_else(|| "kernel or xen".to_owned())
}

impl BeginArgs {
    /// Those that were given, by name.
    pub(super) fn given(&self) -> Vec<&'static str> {
        // Without `..`, so that one that is added is not forgotten here.
        let Self {
            cpu_time,
            memory_time,
            memory_limit,
            erase_disk,
            disk_time,
            disk_limit,
            peer,
            address,
            net_time,
            vlan,
            sriov,
            restart,
            crash,
            guest_kernel,
            only,
            key,
            with_serials,
            nonce,
            modules,
        } = self;
        let all = [
            ("--cpu-time", cpu_time.is_some()),
            ("--memory-time", memory_time.is_some()),
            ("--memory-limit", memory_limit.is_some()),
            ("--erase-disk", !erase_disk.is_empty()),
            ("--disk-time", disk_time.is_some()),
            ("--disk-limit", disk_limit.is_some()),
            ("--peer", !peer.is_empty()),
            ("--address", !address.is_empty()),
            ("--net-time", net_time.is_some()),
            ("--vlan", vlan.is_some()),
            ("--sriov", *sriov),
            ("--restart", *restart),
            ("--crash", !crash.is_empty()),
            ("--guest-kernel", guest_kernel.is_some()),
            ("--only", !only.is_empty()),
            ("--key", key.is_some()),
            ("--with-serials", *with_serials),
            ("--nonce", nonce.is_some()),
            ("--modules", modules.is_some()),
        ];
        let given = all.into_iter().filter(|(_, given)| *given);
        given.map(|(name, _)| name).collect()
    }

    /// Options of a run.
    ///
    /// # Errors
    /// They contradict each other.
    pub(super) fn options(&self) -> Result<Options> {
        let mut own: BTreeMap<String, String> = self.address.iter().cloned().collect();
        let peers = self.peer.iter().map(|(interface, address)| {
            let peer = PeerAt {
                address: with_port(address),
                own_address: own.remove(interface),
            };
            (interface.clone(), peer)
        });
        let peers = peers.collect();
        if let Some(interface) = own.keys().next() {
            bail!("--address {interface}: this interface has no --peer, so it needs no address");
        }
        let default = Options::default();
        let bytes = |mib: u64| mib.saturating_mul(1 << 20);
        // After a restart the run goes on with another working directory.
        let guest_kernel = self.guest_kernel.as_deref().map(std::path::absolute);
        Ok(Options {
            cpu_seconds: self.cpu_time.unwrap_or(default.cpu_seconds),
            memory_seconds: self.memory_time.unwrap_or(default.memory_seconds),
            memory_limit: self.memory_limit.map(bytes),
            erase: self.erase_disk.clone(),
            disk_seconds: self.disk_time.unwrap_or(default.disk_seconds),
            disk_limit: self.disk_limit.map_or(default.disk_limit, bytes),
            peers,
            net_seconds: self.net_time.unwrap_or(default.net_seconds),
            vlan: self.vlan,
            sriov: self.sriov,
            restart: self.restart,
            crash: self.crash.clone(),
            guest_kernel: guest_kernel.transpose()?,
            only: self.only.clone(),
        })
    }
}

/// An IPv6 address has colons of its own: with a port it stands in brackets.
fn with_port(address: &str) -> String {
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return format!("[{address}]:{DEFAULT_PORT}");
    }
    let has_port = match address.strip_prefix('[') {
        Some(rest) => rest.contains("]:"),
        None => address.contains(':'),
    };
    if has_port {
        address.to_owned()
    } else {
        format!("{address}:{DEFAULT_PORT}")
    }
}
