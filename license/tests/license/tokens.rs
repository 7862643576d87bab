//! Tokens that are not genuine are refused.

use crate::common::*;
use license::{Binding, Bundle, Claims, Error, KeyPair, PublicKeys, issue, verify};
use proptest::prelude::*;

#[test]
fn a_token_says_after_verifying_what_was_issued() {
    let (old, new) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let both = keys(&[&old, &new]);
    assert_eq!(both.ids().count(), 2);
    for key in [&old, &new] {
        let token = issue(key, &claims()).unwrap();
        assert!(token.starts_with("v4.public."));
        let verified = verify(&token, &both).unwrap();
        assert_eq!(*verified.claims(), claims());
        assert_eq!(verified.key_id(), key.id());
    }
    // As a mail program breaks it.
    let token = issue(&old, &claims()).unwrap();
    let broken: Vec<_> = token
        .as_bytes()
        .chunks(60)
        .map(|c| std::str::from_utf8(c).unwrap())
        .collect();
    verify(&format!(" {}\r\n", broken.join("\r\n  ")), &both).unwrap();
}

#[test]
fn keys_survive_their_files() {
    let key = KeyPair::generate().unwrap();
    let again = KeyPair::from_secret_text(&format!("{}\n", key.to_secret_text().unwrap())).unwrap();
    assert_eq!(again.id(), key.id());
    let json = keys(&[&key, pair()]).to_json().unwrap();
    let read = PublicKeys::from_json(json.as_bytes()).unwrap();
    verify(&issue(&again, &claims()).unwrap(), &read).unwrap();
    assert!(matches!(
        KeyPair::from_secret_text(&key.public_text().unwrap()),
        Err(Error::Key { .. })
    ));
    let secret = key.to_secret_text().unwrap();
    assert!(
        PublicKeys::from_texts([secret.as_str()]).is_err(),
        "a secret key must not end up on hosts"
    );
    for bad in [
        "",
        "{}",
        r#"{"schema":2,"keys":[]}"#,
        r#"{"schema":1,"keys":["k4.public.x"]}"#,
    ] {
        assert!(
            matches!(
                PublicKeys::from_json(bad.as_bytes()),
                Err(Error::Key { .. })
            ),
            "{bad}"
        );
    }
}

#[test]
fn another_key_is_refused_by_name() {
    let stranger = KeyPair::generate().unwrap();
    let token = issue(&stranger, &claims()).unwrap();
    assert_eq!(
        verify(&token, &keys(&[pair()])),
        Err(Error::UnknownKey {
            key_id: stranger.id()
        })
    );
    assert!(matches!(
        verify(&token, &PublicKeys::default()),
        Err(Error::UnknownKey { .. })
    ));
}

#[test]
fn a_token_with_the_name_of_a_known_key_but_signed_by_another_is_forged() {
    let stranger = KeyPair::generate().unwrap();
    let genuine = issue(pair(), &claims()).unwrap();
    let forged = issue(
        &stranger,
        &Claims {
            sockets: 64,
            ..claims()
        },
    )
    .unwrap();
    // The stranger's claims and signature under the genuine footer, and the genuine signature over other claims.
    let part = |token: &str, n: usize| token.split('.').nth(n).unwrap().to_owned();
    let mixed = format!("v4.public.{}.{}", part(&forged, 2), part(&genuine, 3));
    assert_eq!(verify(&mixed, &keys(&[pair()])), Err(Error::Signature));
    let no_footer = format!("v4.public.{}", part(&genuine, 2));
    assert!(matches!(
        verify(&no_footer, &keys(&[pair()])),
        Err(Error::NotAToken { .. })
    ));
    // A token that the genuine key signed for another purpose.
    use pasetors::keys::AsymmetricSecretKey;
    let secret = AsymmetricSecretKey::<pasetors::version4::V4>::try_from(
        pair().to_secret_text().unwrap().as_str(),
    );
    let footer = format!("{{\"kid\":\"{}\"}}", pair().id());
    let message = serde_json::to_vec(&claims()).unwrap();
    let other = pasetors::version4::PublicToken::sign(
        &secret.unwrap(),
        &message,
        Some(footer.as_bytes()),
        None,
    )
    .unwrap();
    assert_eq!(verify(&other, &keys(&[pair()])), Err(Error::Signature));
}

#[test]
fn claims_that_make_no_sense_are_not_issued() {
    let site = |name: &str| Binding::Site(name.to_owned());
    let cases = [
        Claims {
            schema: 2,
            ..claims()
        },
        Claims {
            sockets: 0,
            ..claims()
        },
        Claims {
            updates_until: BEGIN,
            ..claims()
        },
        Claims {
            issued: END,
            ..claims()
        },
        Claims {
            id: String::new(),
            ..claims()
        },
        Claims {
            customer: "\u{1b}[2J".into(),
            ..claims()
        },
        Claims {
            binding: Binding::Hosts([].into()),
            ..claims()
        },
        Claims {
            binding: site(""),
            ..claims()
        },
        Claims {
            binding: site(&"x".repeat(300)),
            ..claims()
        },
    ];
    for bad in cases {
        assert!(
            matches!(issue(pair(), &bad), Err(Error::Claims { .. })),
            "{bad:?}"
        );
    }
}

#[test]
fn what_is_cut_off_empty_or_huge_is_no_token() {
    let token = issue(pair(), &claims()).unwrap();
    let keys = keys(&[pair()]);
    for length in 0..token.len() {
        assert!(verify(&token[..length], &keys).is_err(), "{length}");
    }
    for bad in [
        String::new(),
        "v4.public.".into(),
        "v4.public..".into(),
        token.replacen("v4.public.", "v3.public.", 1),
        token.replacen("v4.public.", "v4.local.", 1),
        token.replacen("v4.public.", "V4.PUBLIC.", 1),
        format!("{token}.more"),
        format!("{token}=="),
        "v4.public.".to_owned() + &"A".repeat(200 * 1024),
    ] {
        let shown: String = bad.chars().take(30).collect();
        assert!(
            matches!(verify(&bad, &keys), Err(Error::NotAToken { .. })),
            "{shown}"
        );
        assert!(gives_none(Bundle::read(&bad, &keys)), "{shown}");
    }
    // Claims that the right key signed, but that this release does not know.
    let strange = serde_json::json!({"schema": 1, "sockets": 9});
    let footer = format!("{{\"kid\":\"{}\"}}", pair().id());
    let secret = pasetors::keys::AsymmetricSecretKey::<pasetors::version4::V4>::try_from(
        pair().to_secret_text().unwrap().as_str(),
    )
    .unwrap();
    let signed = pasetors::version4::PublicToken::sign(
        &secret,
        strange.to_string().as_bytes(),
        Some(footer.as_bytes()),
        Some(b"bedplate-license-1"),
    )
    .unwrap();
    assert!(matches!(verify(&signed, &keys), Err(Error::Claims { .. })));
}

#[test]
fn a_footer_that_names_more_than_the_key_or_another_is_refused() {
    let token = issue(pair(), &claims()).unwrap();
    let (body, _) = token.rsplit_once('.').unwrap();
    let stranger = KeyPair::generate().unwrap();
    let other = issue(&stranger, &claims()).unwrap();
    let (_, other_footer) = other.rsplit_once('.').unwrap();
    // Both keys are known: the footer is covered by the signature.
    let both = keys(&[pair(), &stranger]);
    assert_eq!(
        verify(&format!("{body}.{other_footer}"), &both),
        Err(Error::Signature)
    );
    // {"kid":"x","alg":"none"} and {}
    for footer in ["eyJraWQiOiJ4IiwiYWxnIjoibm9uZSJ9", "e30"] {
        assert!(matches!(
            verify(&format!("{body}.{footer}"), &both),
            Err(Error::NotAToken { .. })
        ));
    }
}

proptest! {
    /// Any change of one character makes the token worthless.
    #[test]
    fn one_changed_character_is_noticed(position in 0..2000usize, replacement in "[A-Za-z0-9._-]") {
        let token = issue(pair(), &claims()).unwrap();
        let position = position % token.len();
        let mut changed = token.clone();
        changed.replace_range(position..position + 1, &replacement);
        prop_assume!(changed != token);
        prop_assert!(verify(&changed, &keys(&[pair()])).is_err());
        prop_assert!(gives_none(Bundle::read(&changed, &keys(&[pair()]))));
    }

    /// No text makes it panic, neither alone nor around a genuine token.
    #[test]
    fn nonsense_is_refused(text in "(v4\\.public\\.)?[ -~]{0,200}", wide in "\\PC{0,60}") {
        let keys = keys(&[pair()]);
        prop_assert!(verify(&text, &keys).is_err());
        prop_assert!(verify(&wide, &keys).is_err());
        prop_assert!(gives_none(Bundle::read(&text, &keys)));
        prop_assert!(gives_none(Bundle::read(&wide, &keys)));
        let token = issue(pair(), &claims()).unwrap();
        if let Ok(bundle) = Bundle::read(&format!("{token} {text}"), &keys)
            && let Some(license) = &bundle.license
        {
            prop_assert_eq!(license.claims(), &claims());
        }
    }

    /// Bytes in place of the payload and of the footer, well encoded.
    #[test]
    fn signed_by_nobody(payload in "[A-Za-z0-9_-]{0,400}", footer in "[A-Za-z0-9_-]{0,100}") {
        let kid = issue(pair(), &claims()).unwrap();
        let kid = kid.rsplit_once('.').unwrap().1.to_owned();
        for footer in [&footer, &kid] {
            let forged = format!("v4.public.{payload}.{footer}");
            prop_assert!(verify(&forged, &keys(&[pair()])).is_err());
        }
    }
}

/// Whether a file gives no license, however it fails to.
fn gives_none(read: Result<Bundle, Error>) -> bool {
    read.and_then(|bundle| bundle.license().cloned()).is_err()
}
