//! `hcl-checker peer`.

use anyhow::{Context, Result, bail};
use clap::Args;
use hcl_checker::certify::peer::{DEFAULT_PORT, Peer};
use hcl_checker::certify::{Stop, no_such_interface};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use steps::{RealSystem, System};

#[derive(Debug, Args)]
pub struct PeerArgs {
    /// Address to listen at; by default every one of this machine.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V6(Ipv6Addr::UNSPECIFIED))]
    listen: IpAddr,
    /// Port to listen at.
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Interface that tests may change for the time they take: MTU 9000, a VLAN. Without one they change nothing here.
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
}

pub fn run(args: &PeerArgs) -> Result<u8> {
    let system = RealSystem::silent();
    if let Some(name) = &args.interface {
        let interfaces = system.list_dir(Path::new("/sys/class/net"))?;
        if let Some(problem) = no_such_interface("--interface", name, &interfaces) {
            bail!(problem);
        }
    }
    let stop = Stop::new();
    stop.on_signals().context("signals cannot be waited for")?;
    let address = SocketAddr::new(args.listen, args.port);
    let listener = TcpListener::bind(address)
        .with_context(|| format!("{address} cannot be listened at; another --port may be free, and without IPv6 give --listen 0.0.0.0"))?;
    eprintln!(
        "hcl-checker: peer at {}; whoever reaches this port can test through it; Ctrl-C ends it",
        listener.local_addr()?
    );
    let peer = Peer {
        interface: args.interface.clone(),
        system: Arc::new(system),
        stop,
        log: Arc::new(|line| eprintln!("{line}")),
    };
    peer.serve(&listener).context("the listener failed")?;
    Ok(0)
}
