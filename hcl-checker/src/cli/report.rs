//! `hcl-checker report`.

use super::{WRONG_USE, print};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use hcl_checker::date::Date;
use hcl_checker::list::List;
use hcl_checker::report::{
    Beside, PublicKey, REPORT_FILE, Verification, VerifyOptions, submit_entries, verify,
};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A report that must not be believed.
const NOT_GOOD: u8 = 1;
/// Reports of the biggest servers have some megabytes.
const LIMIT: u64 = 64 << 20;

#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(subcommand)]
    command: ReportCommand,
}

#[derive(Debug, Subcommand)]
enum ReportCommand {
    /// Check form and signature, judge again from the facts in it, and compare evidence and page beside it. Exit codes: 0 good, 1 not to be believed, 2 wrong use.
    Verify(VerifyArgs),
    /// Write entries for the compatibility list, for review, from a report that is good.
    SubmitEntry {
        #[command(flatten)]
        verify: VerifyArgs,
        /// Where the report is published; without one no entry is more than compatible.
        #[arg(long, value_name = "URL")]
        page: Option<String>,
    },
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// The report, `report.json`, or the folder that `certify` left it in.
    report: PathBuf,
    /// Its signature; by default the report's name with `.sig` behind it.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Public key (PEM) of the submitter that it must be from.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The nonce that it must have.
    #[arg(long, value_name = "TEXT")]
    nonce: Option<String>,
}

pub fn run(args: &ReportArgs) -> Result<u8> {
    match &args.command {
        ReportCommand::Verify(args) => {
            let (verification, _) = check(args)?;
            print(&text(&verification))?;
            Ok(if verification.is_good() { 0 } else { NOT_GOOD })
        }
        ReportCommand::SubmitEntry { verify, page } => {
            let (verification, bytes) = check(verify)?;
            let Some(report) = verification
                .report
                .as_ref()
                .filter(|_| verification.is_good())
            else {
                eprint!("{}", text(&verification));
                return Ok(NOT_GOOD);
            };
            match submit_entries(report, &bytes, page.as_deref(), Date::today()) {
                Ok(entries) => print(&entries).map(|()| 0),
                Err(error) => {
                    eprintln!("hcl-checker: {error}");
                    Ok(WRONG_USE)
                }
            }
        }
    }
}

fn check(args: &VerifyArgs) -> Result<(Verification, Vec<u8>)> {
    let report = if args.report.is_dir() {
        args.report.join(REPORT_FILE)
    } else {
        args.report.clone()
    };
    let bytes = read(&report)?;
    let beside = || {
        let mut name = report.clone().into_os_string();
        name.push(".sig");
        PathBuf::from(name)
    };
    let signature = read(&args.signature.clone().unwrap_or_else(beside))
        .context("the signature is needed beside the report, or with --signature")?;
    let key = args
        .key
        .as_deref()
        .map(PublicKey::open)
        .transpose()
        .context("--key")?;
    let options = VerifyOptions {
        key,
        nonce: args.nonce.clone(),
    };
    let verification = verify(&bytes, &signature, &List::built_in()?, &options)
        .with_beside(&bytes, &Beside::read(&report));
    Ok((verification, bytes))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut bytes = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .with_context(|| path.display().to_string())?;
    if bytes.len() as u64 > LIMIT {
        bail!(
            "{}: longer than {LIMIT} bytes, so this is no report",
            path.display()
        );
    }
    Ok(bytes)
}

fn text(verification: &Verification) -> String {
    let mut lines = Vec::new();
    match &verification.report {
        _ if !verification.is_good() => lines.push("NOT TO BE BELIEVED".to_owned()),
        Some(report) => lines.push(format!(
            "GOOD  certification {}, verdict {}, {} to {}",
            report.certification.result.name(),
            report.verdict,
            report.started,
            report.finished
        )),
        None => {}
    }
    lines.extend(
        verification
            .problems
            .iter()
            .map(|problem| format!("  wrong  {problem}")),
    );
    lines.extend(
        verification
            .notes
            .iter()
            .map(|note| format!("  note   {note}")),
    );
    if let Some(report) = &verification.report {
        let reasons = report.certification.reasons();
        lines.extend(reasons.map(|reason| format!("  why    {reason}")));
    }
    lines.join("\n") + "\n"
}
