//! `image-build license`

use super::{Ledger, LicenseKeys};
use crate::paths::Paths;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use license::{Binding, Bundle, Claims, License, Request, issue, issue_activation};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

const DAY: u64 = 86_400;

/// Issues a license, activates hosts, or shows what is in a license file.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LicenseArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    issue: IssueArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answers the requests of hosts: prints the license with an activation record for each.
    Activate(ActivateArgs),
    /// Verifies a license file and prints what it says.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// Folder of the keys [default: target/keys].
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Which of the two keys signs.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2), default_value_t = 1)]
    key: u8,
}

#[derive(Debug, Args)]
struct OutputArgs {
    /// Folder of the ledgers, one for each license [default: target/licenses].
    #[arg(long, value_name = "DIR")]
    ledgers: Option<PathBuf>,
    /// Writes here in place of printing.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct IssueArgs {
    /// Who it is for.
    #[arg(long)]
    customer: Option<String>,
    /// Populated sockets that it covers.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    sockets: Option<u32>,
    /// Number of the license; one that exists is renewed, and its hosts stay activated [default: a new one].
    #[arg(long)]
    id: Option<String>,
    /// The first day, for example 2026-11-26 [default: today].
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// The first day without automatic updates [default: --days after the first].
    #[arg(long, value_name = "DATE", conflicts_with = "days")]
    until: Option<Date>,
    /// Days that it lasts.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// For the host with this UUID of its firmware (`xe host-param-get param-name=hardware-uuid`); may be repeated.
    #[arg(long, value_name = "UUID", conflicts_with = "site")]
    host: Vec<Uuid>,
    /// For every host of a site, each of which is activated.
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// A file with requests of hosts (`xe host-license-request --minimal`), which are activated at once; without --host and
    /// --site the license is for these hosts. May be repeated.
    #[arg(long, value_name = "FILE")]
    request: Vec<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct ActivateArgs {
    /// The license.
    #[arg(long, value_name = "FILE")]
    license: PathBuf,
    /// A file with requests, one or many; may be repeated.
    #[arg(long, value_name = "FILE", required = true)]
    request: Vec<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The license file.
    file: PathBuf,
    /// Folder of the keys [default: target/keys].
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// What was asked makes no sense, a file cannot be read or written, or a token is not genuine.
pub fn run(args: LicenseArgs) -> Result<()> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock stands before 1970")?
        .as_secs();
    match args.command {
        Some(Command::Activate(args)) => activate(&args, now),
        Some(Command::Show(args)) => show(&args),
        None => issue_license(&args.issue, now),
    }
}

fn keys(given: Option<&PathBuf>) -> Result<LicenseKeys> {
    Ok(match given {
        Some(dir) => LicenseKeys::at(dir),
        None => LicenseKeys::at(&Paths::find()?.keys()),
    })
}

fn ledgers(output: &OutputArgs) -> Result<PathBuf> {
    match &output.ledgers {
        Some(dir) => Ok(dir.clone()),
        None => Ok(Paths::find()?.licenses()),
    }
}

fn issue_license(args: &IssueArgs, now: u64) -> Result<()> {
    let (Some(customer), Some(sockets)) = (&args.customer, args.sockets) else {
        bail!("a new license needs --customer and --sockets; else say `activate` or `show`");
    };
    let not_before = match args.from {
        Some(date) => midnight(date)?,
        None => now - now % DAY,
    };
    let updates_until = match args.until {
        Some(date) => midnight(date)?,
        None => not_before + u64::from(args.days) * DAY,
    };
    let requests = read_requests(&args.request)?;
    let binding = match (&args.site, args.host.is_empty()) {
        (Some(site), _) => Binding::Site(site.clone()),
        (None, false) => Binding::Hosts(args.host.iter().map(Uuid::to_string).collect()),
        (None, true) => Binding::Hosts(hosts_of(&requests)?),
    };
    let id = match &args.id {
        Some(id) => id.clone(),
        None => format!("L-{}", &Uuid::new_v4().simple().to_string()[..12]),
    };
    let claims = Claims {
        schema: Claims::SCHEMA,
        id,
        customer: customer.clone(),
        // A license for a time that is over is of use in tests; it was not issued after its end.
        issued: now.min(updates_until.saturating_sub(1)),
        sockets,
        not_before,
        updates_until,
        binding,
    };
    let pair = keys(args.keys.keys.as_ref())?.secret(args.keys.key)?;
    let token = issue(&pair, &claims)?;
    let records = enter(&claims, &requests, &args.output, now)?;
    let mut lines = vec![token];
    for record in &records {
        lines.push(issue_activation(&pair, record)?);
    }
    write(&args.output, &lines)
}

/// The hosts of the requests, for a license that names hosts.
fn hosts_of(requests: &[Request]) -> Result<BTreeSet<String>> {
    if requests.is_empty() {
        bail!("who is it for? Give --host, --site or --request");
    }
    let uuid = |request: &Request| match request.hardware {
        Some(uuid) => Ok(uuid.to_string()),
        None => bail!(
            "the firmware of host {} gives no UUID to name it by: give --site",
            request.installation
        ),
    };
    requests.iter().map(uuid).collect()
}

fn activate(args: &ActivateArgs, now: u64) -> Result<()> {
    let keys = keys(args.keys.keys.as_ref())?;
    let bundle = read_bundle(&args.license, &keys)?;
    let license: &License = bundle.license()?;
    let requests = read_requests(&args.request)?;
    if requests.is_empty() {
        bail!("the files hold no request");
    }
    let pair = keys.secret(args.keys.key)?;
    let records = enter(license.claims(), &requests, &args.output, now)?;
    let mut lines = vec![license.text().to_owned()];
    for record in &records {
        lines.push(issue_activation(&pair, record)?);
    }
    write(&args.output, &lines)
}

/// Enters the hosts of requests into the ledger of a license, and returns their records.
fn enter(
    claims: &Claims,
    requests: &[Request],
    output: &OutputArgs,
    now: u64,
) -> Result<Vec<license::ActivationClaims>> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let dir = ledgers(output)?;
    let mut ledger = Ledger::load(&dir, &claims.id)?;
    for request in requests {
        ledger.enter(request, now)?;
    }
    ledger.save(&dir)?;
    let (used, hosts) = (ledger.sockets(), ledger.hosts.len());
    eprintln!(
        "license {}: {used} of {} sockets on {hosts} hosts",
        claims.id, claims.sockets
    );
    if used > claims.sockets {
        eprintln!("it is over-used: automatic updates of its hosts stop 30 days after they see it");
    }
    let asked = |installation| requests.iter().any(|r| r.installation == installation);
    Ok(ledger
        .hosts
        .iter()
        .filter(|host| asked(host.installation))
        .map(|host| ledger.record(host))
        .collect())
}

fn show(args: &ShowArgs) -> Result<()> {
    let keys = keys(args.keys.as_ref())?;
    let bundle = read_bundle(&args.file, &keys)?;
    let license = bundle.license()?;
    println!("{}", serde_json::to_string_pretty(license.claims())?);
    println!("signed by {}", license.key_id());
    for record in &bundle.activations {
        println!("{}", serde_json::to_string_pretty(record.claims())?);
    }
    for error in &bundle.refused {
        println!("refused: {error}");
    }
    Ok(())
}

fn read_bundle(path: &Path, keys: &LicenseKeys) -> Result<Bundle> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Bundle::read(&text, &keys.public()?).with_context(|| path.display().to_string())
}

/// Requests, each a word of its own; what stands around them, as in the whole output of `xe host-license-request`, is
/// passed over.
fn read_requests(paths: &[PathBuf]) -> Result<Vec<Request>> {
    let mut requests = Vec::new();
    for path in paths {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let words = text
            .split_whitespace()
            .filter(|word| word.to_ascii_uppercase().starts_with("BEDPLATE1-"));
        let before = requests.len();
        for word in words {
            let request = word.parse().with_context(|| path.display().to_string())?;
            requests.push(request);
        }
        if requests.len() == before {
            bail!("{} holds no request", path.display());
        }
    }
    Ok(requests)
}

fn midnight(date: Date) -> Result<u64> {
    let at = date.to_zoned(TimeZone::UTC)?.timestamp().as_second();
    u64::try_from(at).with_context(|| format!("{date} is before 1970"))
}

fn write(output: &OutputArgs, lines: &[String]) -> Result<()> {
    let text = lines.join("\n") + "\n";
    let Some(path) = &output.out else {
        print!("{text}");
        return Ok(());
    };
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}
