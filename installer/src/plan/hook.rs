//! The programs of the operator in a plan.

use super::problem::{About, PlanProblem};
use crate::choices::{Choices, HookChoice};
use crate::values::Script;
use serde::Serialize;
use sha2::{Digest, Sha256};
use steps::Secrets;
use steps::hook::Hook;

/// A hook with its program. Serializes without the program, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HookPlan {
    /// What is shown of it.
    #[serde(flatten)]
    pub hook: Hook,
    /// What runs.
    #[serde(skip)]
    pub program: Script,
}

/// The hooks in the order in which they run within their stage, or those whose file was not read.
pub fn decide(choices: &[HookChoice]) -> Result<Vec<HookPlan>, Vec<PlanProblem>> {
    let mut plans = Vec::new();
    let mut problems = Vec::new();
    for choice in choices {
        match choice.script() {
            Some(script) => plans.push(HookPlan {
                hook: Hook {
                    name: choice.name.clone(),
                    when: choice.when,
                    time_limit_s: choice.time_limit_s,
                    may_fail: choice.may_fail,
                    sha256: script.sha256(),
                },
                program: script.clone(),
            }),
            None => problems.push(PlanProblem::new(
                About::Machine,
                format!("the file of the hook {} was not read", choice.name),
                "write its script into the answers",
            )),
        }
    }
    match problems.is_empty() {
        true => Ok(plans),
        false => Err(problems),
    }
}

/// SHA-256 over everything that is secret, each with its name and length; none where there is nothing.
pub fn secrets_sha256(choices: &Choices) -> Option<String> {
    let system = choices.system.as_ref();
    let webhook = choices.webhook.as_ref();
    let all = [
        (
            "password",
            system
                .and_then(|system| system.root_password.as_ref())
                .map(|hash| hash.expose()),
        ),
        (
            "source",
            choices.source.as_ref().map(|source| source.url.expose()),
        ),
        ("webhook", webhook.map(|webhook| webhook.url.expose())),
        (
            "token",
            webhook
                .and_then(|webhook| webhook.token.as_ref())
                .map(|token| token.expose()),
        ),
    ];
    let mut digest = Sha256::new();
    let mut any = false;
    for (name, secret) in all {
        let Some(secret) = secret else { continue };
        any = true;
        digest.update(format!("{name} {}\n", secret.len()));
        digest.update(secret);
    }
    any.then(|| hex::encode(digest.finalize()))
}

/// What the answers hold that a program may print and nobody should read.
pub fn secrets(choices: &Choices) -> Secrets {
    let mut secrets = Secrets::new();
    let system = choices.system.as_ref();
    if let Some(hash) = system.and_then(|system| system.root_password.as_ref()) {
        secrets.add(hash.expose());
    }
    if let Some(token) = &choices.license {
        secrets.add(token.expose());
    }
    if let Some(source) = &choices.source {
        source.url.secrets().for_each(|text| secrets.add(text));
    }
    if let Some(webhook) = &choices.webhook {
        webhook.url.secrets().for_each(|text| secrets.add(text));
        if let Some(token) = &webhook.token {
            secrets.add(token.expose());
        }
    }
    secrets
}
