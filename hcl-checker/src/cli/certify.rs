//! `hcl-checker certify`.

mod begin;

use super::{json, print, read_drivers};
use anyhow::{Context, Result, anyhow, bail};
use begin::BeginArgs;
use clap::Args;
use hcl_checker::certify::exit::{FAILED, GOES_ON, INCOMPLETE, NOTHING_RAN};
use hcl_checker::certify::{
    End, Plan, Progress, RunState, Runner, Stop, Surroundings, Terminal, not_there, now,
};
use hcl_checker::drivers::DriverIndex;
use hcl_checker::list::List;
use hcl_checker::report::{
    CertificationResult, HTML_FILE, PUBLIC_KEY_FILE, REPORT_FILE, Report, SIGNATURE_FILE, Serials,
    SubmitterKey, html,
};
use hcl_checker::{Facts, Root};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use steps::{RealSystem, System};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 passed, 1 a test failed, 2 wrong use, 4 incomplete (a test did not run, or something is unknown), \
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
    #[command(flatten)]
    begin: BeginArgs,
}

pub fn run(args: &CertifyArgs) -> Result<u8> {
    let stop = Stop::new();
    stop.on_signals().context("signals cannot be waited for")?;
    let system = RealSystem::silent();
    let folder = std::path::absolute(&args.out).context("--out")?;
    if args.undo {
        let state = begun(&system, &folder, "--undo", &args.begin)?;
        return undo(&system, folder, state, stop);
    }
    if args.resume {
        let state = begun(&system, &folder, "--resume", &args.begin)?;
        return go_on(&system, folder, state, stop);
    }
    let options = args.begin.options()?;
    if let Some(folder) = &args.begin.modules {
        // It is needed after the last test, and told before the first.
        read_drivers(folder)?;
    }
    let facts = Facts::read(&Root::at(Path::new("/"))?);
    let surroundings = Surroundings::read(&system, &facts, &options, &folder);
    let mut problems = not_there(&system, &facts, &options);
    let plan = Plan::build(&facts, &surroundings, &options);
    problems.extend(plan.as_ref().err().into_iter().flatten().cloned());
    let plan = plan.ok().filter(|_| problems.is_empty());
    let plan = plan.ok_or_else(|| all_of(&problems))?;
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
    let nonce = match &args.begin.nonce {
        Some(nonce) => nonce.clone(),
        None => random_nonce()?,
    };
    // A key that cannot be used is told before the tests, not after.
    let key = match &args.begin.key {
        Some(key) => std::path::absolute(key)?,
        None => default_key()?,
    };
    SubmitterKey::open_or_make(&key).context("--key")?;
    let modules = args
        .begin
        .modules
        .as_deref()
        .map(std::path::absolute)
        .transpose()?;
    let mut state = RunState::begin(options, facts, surroundings, nonce, now());
    state.signing.key = key;
    state.signing.with_serials = args.begin.with_serials;
    state.signing.modules = modules;
    system
        .create_dir_all(&folder.join("evidence"))
        .context("--out")?;
    state.save(&system, &folder)?;
    go_on(&system, folder, state, stop)
}

/// Mistakes, a line each.
fn all_of(problems: &[String]) -> anyhow::Error {
    anyhow!(problems.join("\n             "))
}

/// The run in `folder`, for an option that goes on with it.
fn begun(system: &RealSystem, folder: &Path, option: &str, args: &BeginArgs) -> Result<RunState> {
    let given = args.given();
    if !given.is_empty() {
        bail!(
            "{option} keeps to what the run began with, so it cannot be given together with {}; leave that out, or begin \
             another run with it in another folder (--out)",
            given.join(", ")
        );
    }
    if !RunState::exists(system, folder) {
        bail!(
            "{option}: there is no run in {}; name its folder with --out",
            folder.display()
        );
    }
    RunState::load(system, folder).context(option.to_owned())
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

fn undo(system: &RealSystem, folder: PathBuf, state: RunState, stop: Stop) -> Result<u8> {
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
    let plan = Plan::build(&state.facts, &state.surroundings, &state.options);
    let plan = plan.map_err(|problems| all_of(&problems))?;
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
    if report.certification.result == CertificationResult::Incomplete {
        text.push_str("  A certified machine misses nothing of this in one run: begin another with --out DIR.\n");
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
