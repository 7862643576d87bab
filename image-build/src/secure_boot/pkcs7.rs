//! PKCS #7 SignedData (RFC 2315), as Authenticode and signed EFI variables need it: one signer, SHA-256, RSA.

use super::certificate::{Parts, RSA, algorithm, oid, utc, utc_time};
use super::keys::Signer;
use anyhow::Result;
use sha2::{Digest, Sha256};
use yasna::{DERWriter, Tag, construct_der};

/// sha256.
pub(super) const SHA256: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
/// pkcs7-data.
const DATA: &[u64] = &[1, 2, 840, 113549, 1, 7, 1];
/// pkcs7-signedData.
const SIGNED_DATA: &[u64] = &[1, 2, 840, 113549, 1, 7, 2];
/// contentType.
const CONTENT_TYPE: &[u64] = &[1, 2, 840, 113549, 1, 9, 3];
/// messageDigest.
const MESSAGE_DIGEST: &[u64] = &[1, 2, 840, 113549, 1, 9, 4];
/// signingTime.
const SIGNING_TIME: &[u64] = &[1, 2, 840, 113549, 1, 9, 5];

/// SignedData over `data`, which is not in it; without attributes.
pub(super) fn detached(signer: &Signer, data: &[u8]) -> Result<Vec<u8>> {
    let signature = signer.sign(data)?;
    signed_data(signer, &signature, None, |writer| {
        writer.write_sequence(|writer| writer.next().write_oid(&oid(DATA)));
    })
}

/// ContentInfo with SignedData over `content` (a SEQUENCE of the type `kind`), which is in it; the time of signing is `epoch`.
pub(super) fn attached(
    signer: &Signer,
    epoch: u64,
    kind: &[u64],
    content: &[u8],
) -> Result<Vec<u8>> {
    let attributes = attributes(epoch, kind, inside(content))?;
    // Signed as the set that it is, written as an implicitly tagged field.
    let as_set = construct_der(|writer| {
        writer.write_set_of(|writer| attributes.iter().for_each(|a| writer.next().write_der(a)));
    });
    let signature = signer.sign(&as_set)?;
    let signed = signed_data(signer, &signature, Some(&attributes), |writer| {
        writer.write_sequence(|writer| {
            writer.next().write_oid(&oid(kind));
            writer
                .next()
                .write_tagged(Tag::context(0), |w| w.write_der(content));
        });
    })?;
    Ok(construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_oid(&oid(SIGNED_DATA));
            writer
                .next()
                .write_tagged(Tag::context(0), |w| w.write_der(&signed));
        });
    }))
}

fn attributes(epoch: u64, kind: &[u64], content: &[u8]) -> Result<Vec<Vec<u8>>> {
    let time = utc(epoch)?;
    let digest = Sha256::digest(content);
    let one = |name: &[u64], value: &dyn Fn(DERWriter<'_>)| {
        construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_oid(&oid(name));
                writer.next().write_set(|writer| value(writer.next()));
            });
        })
    };
    Ok(vec![
        one(CONTENT_TYPE, &|writer| writer.write_oid(&oid(kind))),
        one(SIGNING_TIME, &|writer| utc_time(writer, &time)),
        one(MESSAGE_DIGEST, &|writer| writer.write_bytes(&digest)),
    ])
}

fn signed_data(
    signer: &Signer,
    signature: &[u8],
    attributes: Option<&[Vec<u8>]>,
    content_info: impl FnOnce(DERWriter<'_>),
) -> Result<Vec<u8>> {
    let parts = Parts::of(signer.certificate())?;
    Ok(construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_i64(1);
            writer
                .next()
                .write_set(|writer| algorithm(writer.next(), SHA256));
            content_info(writer.next());
            writer
                .next()
                .write_tagged_implicit(Tag::context(0), |writer| {
                    writer.write_set(|writer| writer.next().write_der(signer.certificate()));
                });
            writer.next().write_set(|writer| {
                writer.next().write_sequence(|writer| {
                    writer.next().write_i64(1);
                    writer.next().write_sequence(|writer| {
                        writer.next().write_der(&parts.issuer);
                        writer.next().write_der(&parts.serial);
                    });
                    algorithm(writer.next(), SHA256);
                    if let Some(attributes) = attributes {
                        writer
                            .next()
                            .write_tagged_implicit(Tag::context(0), |writer| {
                                writer.write_set_of(|writer| {
                                    attributes.iter().for_each(|a| writer.next().write_der(a));
                                });
                            });
                    }
                    algorithm(writer.next(), RSA);
                    writer.next().write_bytes(signature);
                });
            });
        });
    }))
}

/// What is inside of a DER element: it without tag and length.
fn inside(element: &[u8]) -> &[u8] {
    let header = match element.get(1) {
        Some(length) if *length >= 0x80 => 2 + usize::from(length & 0x7f),
        _ => 2,
    };
    element.get(header..).unwrap_or_default()
}
