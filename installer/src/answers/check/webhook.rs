//! What `[webhook]` must hold beyond its shape.

use super::super::document::Document;
use super::super::schema::Webhook;
use super::value;
use crate::choices::WebhookChoice;
use crate::values::{BearerToken, Pin, WebUrl};

/// The outer option is none where something is wrong.
pub fn webhook(
    webhook: Option<Webhook>,
    document: &mut Document<'_>,
) -> Option<Option<WebhookChoice>> {
    let Some(webhook) = webhook else {
        return Some(None);
    };
    let url = match webhook.url {
        Some(text) => value(document, "webhook.url", WebUrl::parse(&text)),
        None => {
            document.missing(
                "webhook.url",
                "[webhook] has no `url`",
                "add `url = \"https://...\"`, or leave the section out",
            );
            None
        }
    };
    let token = match webhook.token {
        Some(text) => value(document, "webhook.token", BearerToken::parse(&text)).map(Some),
        None => Some(None),
    };
    let pin = match webhook.pin {
        Some(text) => value(document, "webhook.pin", Pin::parse(&text)).map(Some),
        None => Some(None),
    };
    let (url, token, pin) = (url?, token?, pin?);
    for (key, there) in [("token", token.is_some()), ("pin", pin.is_some())] {
        if there && !url.is_private() {
            document.problem_at(
                &format!("webhook.{key}"),
                format!("`webhook.{key}` is of no use with `http`: everyone on the way reads what is sent"),
                "write the `url` with `https`, or leave the key out",
            );
            return None;
        }
    }
    Some(Some(WebhookChoice {
        url,
        token,
        pin,
        progress: webhook.progress.unwrap_or(true),
    }))
}
