//! `hcl-checker certify`.

use super::{json, print, read_drivers};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use hcl_checker::certify::exit::{FAILED, GOES_ON, INCOMPLETE, NOTHING_RAN};
use hcl_checker::certify::peer::DEFAULT_PORT;
use hcl_checker::certify::{
    CrashOf, End, Options, PeerAt, Plan, Progress, RunState, Runner, Stop, Surroundings, Terminal,
    now,
};
use hcl_checker::drivers::DriverIndex;
use hcl_checker::list::List;
use hcl_checker::report::{
    CertificationResult, HTML_FILE, PUBLIC_KEY_FILE, REPORT_FILE, Report, SIGNATURE_FILE, Serials,
    SubmitterKey, html,
};
use hcl_checker::{Facts, Root};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use steps::{RealSystem, System};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 passed, 1 a test failed, 2 wrong use, 4 incomplete (something required did not run), \
    5 no test ran, 6 stopped or restarting: go on with --resume.\n\n\
    Only looking and loading CPU and memory is done unless more is named: disks are erased with --erase-disk, the machine goes \
    down with --restart and --crash."
)]
pub struct CertifyArgs {
    /// Folder for state, evidence and report; on a disk, where the machine is to be restarted.
    #[arg(long, value_name = "DIR", default_value = "hcl-report")]
    out: PathBuf,
    /// Show the plan and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go on with the run in the folder, with its options.
    #[arg(long, conflicts_with_all = ["dry_run", "undo"])]
    resume: bool,
    /// Undo what the run in the folder left changed, and do nothing else.
    #[arg(long, conflicts_with = "dry_run")]
    undo: bool,
    /// With --dry-run: write the plan as JSON.
    #[arg(long, requires = "dry_run")]
    json: bool,
    /// Seconds of load on every CPU.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    cpu_time: u64,
    /// Seconds for the memory test.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    memory_time: u64,
    /// MiB of memory to test at most; by default all that is free, less a reserve.
    #[arg(long, value_name = "MIB")]
    memory_limit: Option<u64>,
    /// Disk or volume to test. ITS CONTENT IS LOST. May be given several times.
    #[arg(long, value_name = "PATH")]
    erase_disk: Vec<PathBuf>,
    /// Seconds for each disk.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    disk_time: u64,
    /// MiB to write to each disk at most.
    #[arg(long, value_name = "MIB", default_value_t = 16 << 10)]
    disk_limit: u64,
    /// Where `hcl-checker peer` runs, for each interface to test with traffic.
    #[arg(long, value_name = "INTERFACE=ADDRESS[:PORT]", value_parser = pair)]
    peer: Vec<(String, String)>,
    /// Address to give to an interface for the tests with its peer.
    #[arg(long, value_name = "INTERFACE=ADDRESS/PREFIX", value_parser = pair)]
    address: Vec<(String, String)>,
    /// Seconds of traffic in each direction.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    net_time: u64,
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
    key: Option<PathBuf>,
    /// Leave serial numbers and hardware addresses in the report.
    #[arg(long)]
    with_serials: bool,
    /// Text that the one who asks for the report wants to see in it.
    #[arg(long, value_name = "TEXT")]
    nonce: Option<String>,
    /// Modules folder of the kernel to judge by; by default that of the release.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((interface, value)) if !interface.is_empty() && !value.is_empty() => {
            Ok((interface.to_owned(), value.to_owned()))
        }
        _ => Err("give an interface and an address, like eth1=192.0.2.2".to_owned()),
    }
}

fn crash(text: &str) -> Result<CrashOf, String> {
    [CrashOf::Kernel, CrashOf::Xen]
        .into_iter()
        .find(|whom| whom.name() == text)
        .ok_or_else(|| "kernel or xen".to_owned())
}

pub fn run(args: &CertifyArgs) -> Result<u8> {
    let stop = Stop::new();
    stop.on_signals().context("signals cannot be waited for")?;
    let system = RealSystem::silent();
    let folder = std::path::absolute(&args.out).context("--out")?;
    if args.undo {
        return undo(&system, folder, stop);
    }
    if args.resume {
        let state = RunState::load(&system, &folder).with_context(|| {
            format!(
                "--resume: there is no run to go on with in {}",
                folder.display()
            )
        })?;
        return go_on(&system, folder, state, stop);
    }
    let options = options(args)?;
    let facts = Facts::read(&Root::at(Path::new("/"))?);
    let surroundings = Surroundings::read(&system, &facts, &options, &folder);
    let plan = plan(&facts, &surroundings, &options)?;
    if args.dry_run {
        print(&if args.json {
            json(&plan)?
        } else {
            plan.to_string()
        })?;
        return Ok(0);
    }
    if RunState::exists(&system, &folder) {
        bail!(
            "{}: there is a run already; go on with it with --resume, or name another folder with --out",
            folder.display()
        );
    }
    let nonce = match &args.nonce {
        Some(nonce) => nonce.clone(),
        None => random_nonce()?,
    };
    // A key that cannot be used is told before the tests, not after.
    let key = match &args.key {
        Some(key) => std::path::absolute(key)?,
        None => default_key()?,
    };
    SubmitterKey::open_or_make(&key).context("--key")?;
    let modules = args
        .modules
        .as_deref()
        .map(std::path::absolute)
        .transpose()?;
    let mut state = RunState::begin(options, facts, surroundings, nonce, now());
    state.signing.key = key;
    state.signing.with_serials = args.with_serials;
    state.signing.modules = modules;
    system
        .create_dir_all(&folder.join("evidence"))
        .context("--out")?;
    state.save(&system, &folder)?;
    go_on(&system, folder, state, stop)
}

fn options(args: &CertifyArgs) -> Result<Options> {
    let mut own: BTreeMap<String, String> = args.address.iter().cloned().collect();
    let peers = args.peer.iter().map(|(interface, address)| {
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
    Ok(Options {
        cpu_seconds: args.cpu_time,
        memory_seconds: args.memory_time,
        memory_limit: args.memory_limit.map(|mib| mib.saturating_mul(1 << 20)),
        erase: args.erase_disk.clone(),
        disk_seconds: args.disk_time,
        disk_limit: args.disk_limit.saturating_mul(1 << 20),
        peers,
        net_seconds: args.net_time,
        vlan: args.vlan,
        sriov: args.sriov,
        restart: args.restart,
        crash: args.crash.clone(),
        guest_kernel: args.guest_kernel.clone(),
        only: args.only.clone(),
    })
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

fn plan(facts: &Facts, surroundings: &Surroundings, options: &Options) -> Result<Plan> {
    Plan::build(facts, surroundings, options)
        .map_err(|problems| anyhow!(problems.join("\n             ")))
}

fn random_nonce() -> Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn default_key() -> Result<PathBuf> {
    let home = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
    let home = home.context("neither XDG_CONFIG_HOME nor HOME is set; name a key with --key")?;
    Ok(std::path::absolute(home)?.join("hcl-checker/submitter.pem"))
}

fn terminal() -> Box<dyn Progress> {
    let live = std::io::stderr().is_terminal();
    Box::new(Terminal::new(std::io::stderr(), live))
}

fn undo(system: &RealSystem, folder: PathBuf, stop: Stop) -> Result<u8> {
    let state = RunState::load(system, &folder)
        .with_context(|| format!("--undo: there is no run in {}", folder.display()))?;
    let mut runner = Runner {
        system,
        folder,
        state,
        stop,
        progress: terminal(),
    };
    runner.undo_all()?;
    let left = &runner.state.changes;
    for change in left {
        eprintln!("still changed: {change}");
    }
    Ok(if left.is_empty() { 0 } else { FAILED })
}

fn go_on(system: &RealSystem, folder: PathBuf, state: RunState, stop: Stop) -> Result<u8> {
    let plan = plan(&state.facts, &state.surroundings, &state.options)?;
    let shown = folder.display().to_string();
    let mut runner = Runner {
        system,
        folder: folder.clone(),
        state,
        stop,
        progress: terminal(),
    };
    match runner.run(&plan)? {
        End::Done => {}
        End::Stopped => {
            eprintln!(
                "stopped; the machine is as it was. Go on with: hcl-checker certify --resume --out {shown}"
            );
            return Ok(GOES_ON);
        }
        End::Restarting => {
            eprintln!("the machine goes down now; the run goes on after that");
            return Ok(GOES_ON);
        }
    }
    let ran = runner.ran();
    let report = write_report(system, &folder, &runner.state)?;
    print(&summary(&report, &shown))?;
    if ran == 0 {
        eprintln!("hcl-checker: no test ran, so this report says nothing about the machine");
        return Ok(NOTHING_RAN);
    }
    Ok(match report.certification.result {
        CertificationResult::Passed => 0,
        CertificationResult::Failed => FAILED,
        CertificationResult::Incomplete => INCOMPLETE,
    })
}

fn summary(report: &Report, folder: &str) -> String {
    let mut text = format!("{}\n", report.certification.result.name().to_uppercase());
    for reason in &report.certification.failed {
        text.push_str(&format!("  failed   {reason}\n"));
    }
    for reason in &report.certification.missing {
        text.push_str(&format!("  missing  {reason}\n"));
    }
    text + &format!("{folder}/{REPORT_FILE}, signed; {folder}/{HTML_FILE} for people\n")
}

fn write_report(system: &dyn System, folder: &Path, state: &RunState) -> Result<Report> {
    let key = SubmitterKey::open_or_make(&state.signing.key)?;
    let serials = if state.signing.with_serials {
        Serials::Plain
    } else {
        Serials::Hashed
    };
    let drivers = drivers(state)?;
    let program = Path::new("/proc/self/exe");
    let list = List::built_in()?;
    let report = Report::of_run(state, &list, Some(&drivers), &key, serials, program)?;
    let bytes = report.to_bytes()?;
    let files = [
        (SIGNATURE_FILE, key.sign(&bytes)),
        (HTML_FILE, html(&report, &bytes).into_bytes()),
        (PUBLIC_KEY_FILE, key.public().pem().into_bytes()),
        (REPORT_FILE, bytes),
    ];
    for (name, content) in files {
        system.write_file(&folder.join(name), &content, 0o644)?;
    }
    Ok(report)
}

/// The kernel to judge by: the one that was named, else that of the release.
fn drivers(state: &RunState) -> Result<DriverIndex> {
    match &state.signing.modules {
        Some(folder) => read_drivers(folder),
        None => Ok(DriverIndex::of_release()?),
    }
}
