//! Keys that sign licenses, as PASERK text (`k4.secret.…`, `k4.public.…`, identifiers `k4.pid.…`).

use crate::Error;
use pasetors::keys::{AsymmetricKeyPair, AsymmetricPublicKey, AsymmetricSecretKey, Generate};
use pasetors::paserk::{FormatAsPaserk, Id};
use pasetors::version4::V4;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A key that issues licenses. Never on a host.
pub struct KeyPair {
    pub(crate) secret: AsymmetricSecretKey<V4>,
    public: AsymmetricPublicKey<V4>,
}

impl KeyPair {
    /// A new random key.
    pub fn generate() -> Result<KeyPair, Error> {
        let AsymmetricKeyPair { public, secret } = AsymmetricKeyPair::<V4>::generate()
            .map_err(|e| problem(format!("no random numbers: {e:?}")))?;
        Ok(KeyPair { secret, public })
    }

    /// Reads what [`KeyPair::to_secret_text`] wrote.
    pub fn from_secret_text(text: &str) -> Result<KeyPair, Error> {
        let secret = AsymmetricSecretKey::<V4>::try_from(text.trim())
            .map_err(|e| problem(format!("it is no `k4.secret.` key: {e:?}")))?;
        let public =
            AsymmetricPublicKey::try_from(&secret).map_err(|e| problem(format!("{e:?}")))?;
        Ok(KeyPair { secret, public })
    }

    /// The secret key as one line of text. Write it to a file of mode 0600.
    pub fn to_secret_text(&self) -> Result<String, Error> {
        let mut text = String::new();
        self.secret
            .fmt(&mut text)
            .map_err(|e| problem(e.to_string()))?;
        Ok(text)
    }

    /// The public key as text.
    pub fn public_text(&self) -> Result<String, Error> {
        public_text(&self.public)
    }

    /// The identifier that a token names the key by.
    pub fn id(&self) -> String {
        id_text(&self.public)
    }
}

/// The public keys that a host accepts licenses from, by identifier.
#[derive(Debug, Clone, Default)]
pub struct PublicKeys(BTreeMap<String, AsymmetricPublicKey<V4>>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    keys: Vec<String>,
}

impl PublicKeys {
    /// From keys as text.
    pub fn from_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<PublicKeys, Error> {
        let mut keys = BTreeMap::new();
        for text in texts {
            let key = AsymmetricPublicKey::<V4>::try_from(text.trim())
                .map_err(|e| problem(format!("{text:?} is no `k4.public.` key: {e:?}")))?;
            keys.insert(id_text(&key), key);
        }
        Ok(PublicKeys(keys))
    }

    /// Reads the file of an image: `{"schema":1,"keys":["k4.public.…", …]}`.
    pub fn from_json(json: &[u8]) -> Result<PublicKeys, Error> {
        let file: File =
            serde_json::from_slice(json).map_err(|e| problem(format!("license-keys.json: {e}")))?;
        if file.schema != 1 {
            return Err(problem(format!(
                "license-keys.json: schema {} is not known",
                file.schema
            )));
        }
        PublicKeys::from_texts(file.keys.iter().map(String::as_str))
    }

    /// What [`PublicKeys::from_json`] reads, in the order of the identifiers.
    pub fn to_json(&self) -> Result<String, Error> {
        let keys = self.0.values().map(public_text).collect::<Result<_, _>>()?;
        serde_json::to_string_pretty(&File { schema: 1, keys }).map_err(|e| problem(e.to_string()))
    }

    /// The identifiers.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&AsymmetricPublicKey<V4>> {
        self.0.get(id)
    }
}

fn public_text(key: &AsymmetricPublicKey<V4>) -> Result<String, Error> {
    let mut text = String::new();
    key.fmt(&mut text).map_err(|e| problem(e.to_string()))?;
    Ok(text)
}

fn id_text(key: &AsymmetricPublicKey<V4>) -> String {
    let mut text = String::new();
    // Writing to a String does not fail, and an empty identifier would match no token.
    let _ = Id::from(key).fmt(&mut text);
    text
}

fn problem(problem: String) -> Error {
    Error::Key { problem }
}
