//! X.509 certificates: making those that sign themselves, and reading who is named in one.

use super::keys::sign;
use anyhow::{Context, Result};
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use sha2::{Digest, Sha256};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag, construct_der, parse_der};

/// Years that a certificate says it is valid. Firmware has no trustworthy clock and does not look at it.
const YEARS: u64 = 20;
/// rsaEncryption.
pub(super) const RSA: &[u64] = &[1, 2, 840, 113549, 1, 1, 1];
/// sha256WithRSAEncryption.
const RSA_SHA256: &[u64] = &[1, 2, 840, 113549, 1, 1, 11];
/// commonName.
const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
/// keyUsage.
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
/// digitalSignature alone, as the BIT STRING in keyUsage.
const DIGITAL_SIGNATURE: [u8; 4] = [0x03, 0x02, 0x07, 0x80];
/// Tag of UTCTime.
const UTC_TIME: Tag = Tag {
    tag_class: yasna::TagClass::Universal,
    tag_number: 23,
};

/// What a signature says about a certificate, as DER.
#[derive(Debug)]
pub(super) struct Parts {
    /// The serial number.
    pub serial: Vec<u8>,
    /// The issuer's name.
    pub issuer: Vec<u8>,
    /// The public key with its algorithm.
    pub public_key: Vec<u8>,
}

impl Parts {
    /// Those of `certificate`.
    pub fn of(certificate: &[u8]) -> Result<Parts> {
        parse_der(certificate, |reader| {
            reader.read_sequence(|reader| {
                let parts = reader.next().read_sequence(|reader| {
                    reader.read_optional(|r| r.read_tagged(Tag::context(0), |r| r.read_i64()))?;
                    let serial = reader.next().read_der()?;
                    reader.next().read_der()?; // algorithm
                    let issuer = reader.next().read_der()?;
                    reader.next().read_der()?; // validity
                    reader.next().read_der()?; // subject
                    let public_key = reader.next().read_der()?;
                    // Two unique identifiers and the extensions.
                    for _ in 0..3 {
                        reader.read_optional(|r| r.read_der())?;
                    }
                    Ok(Parts {
                        serial,
                        issuer,
                        public_key,
                    })
                })?;
                reader.next().read_der()?; // algorithm
                reader.next().read_der()?; // signature
                Ok(parts)
            })
        })
        .context("this is no X.509 certificate")
    }
}

/// A certificate of `key` by itself that is called `name`, valid from `now` (seconds since 1970).
pub(super) fn self_signed(key: &KeyPair, name: &str, now: u64) -> Result<Vec<u8>> {
    let public_key = construct_der(|writer| {
        writer.write_sequence(|writer| {
            algorithm(writer.next(), RSA);
            let bits = key.public_key().as_ref();
            writer.next().write_bitvec_bytes(bits, bits.len() * 8);
        });
    });
    // Positive, and the same for the same key.
    let mut serial = Sha256::digest(&public_key)[..16].to_vec();
    serial[0] = serial[0] & 0x7f | 0x40;
    let name = construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_set(|writer| {
                writer.next().write_sequence(|writer| {
                    writer.next().write_oid(&oid(COMMON_NAME));
                    writer.next().write_utf8_string(name);
                });
            });
        });
    });
    let (begin, end) = (utc(now)?, utc(now + YEARS * 365 * 86_400)?);
    let body = construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer
                .next()
                .write_tagged(Tag::context(0), |w| w.write_i64(2));
            writer.next().write_bigint_bytes(&serial, true);
            algorithm(writer.next(), RSA_SHA256);
            writer.next().write_der(&name);
            writer.next().write_sequence(|writer| {
                utc_time(writer.next(), &begin);
                utc_time(writer.next(), &end);
            });
            writer.next().write_der(&name);
            writer.next().write_der(&public_key);
            writer.next().write_tagged(Tag::context(3), |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&oid(KEY_USAGE));
                        writer.next().write_bool(true);
                        writer.next().write_bytes(&DIGITAL_SIGNATURE);
                    });
                });
            });
        });
    });
    let signature = sign(key, &body)?;
    Ok(construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(&body);
            algorithm(writer.next(), RSA_SHA256);
            writer
                .next()
                .write_bitvec_bytes(&signature, signature.len() * 8);
        });
    }))
}

/// An object identifier.
pub(super) fn oid(numbers: &[u64]) -> ObjectIdentifier {
    ObjectIdentifier::from_slice(numbers)
}

/// An algorithm without parameters.
pub(super) fn algorithm(writer: DERWriter<'_>, numbers: &[u64]) {
    writer.write_sequence(|writer| {
        writer.next().write_oid(&oid(numbers));
        writer.next().write_null();
    });
}

/// A time as UTCTime has it, which ends with the year 2049.
pub(super) fn utc(epoch: u64) -> Result<String> {
    let time = jiff::Timestamp::from_second(i64::try_from(epoch)?)?;
    Ok(time.strftime("%y%m%d%H%M%SZ").to_string())
}

/// Writes what [`utc`] gave.
pub(super) fn utc_time(writer: DERWriter<'_>, text: &str) {
    writer.write_tagged_implicit(UTC_TIME, |writer| writer.write_bytes(text.as_bytes()));
}
