//! Why a token or a key is not accepted.

/// What is wrong with a token or a key, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no token at all.
    #[error(
        "this is no license token: {problem}; it must start with `v4.public.` and be copied whole"
    )]
    NotAToken {
        /// What is wrong.
        problem: String,
    },
    /// The token names a key that this host does not carry.
    #[error(
        "the license is signed with key {key_id}, which this host does not know: it is for another product or a newer release"
    )]
    UnknownKey {
        /// PASERK identifier of the key, as the token says.
        key_id: String,
    },
    /// The signature does not fit: the token was changed or forged.
    #[error(
        "the signature of the license is wrong: it was changed or not copied whole; get it again from who issued it"
    )]
    Signature,
    /// The claims are signed but make no sense here.
    #[error("the license cannot be used: {problem}")]
    Claims {
        /// What is wrong.
        problem: String,
    },
    /// The text is no request of a host.
    #[error("this is no license request: {problem}; `xe host-license-request` prints one")]
    NotARequest {
        /// What is wrong.
        problem: String,
    },
    /// A key cannot be used.
    #[error("the license key cannot be used: {problem}")]
    Key {
        /// What is wrong.
        problem: String,
    },
}
