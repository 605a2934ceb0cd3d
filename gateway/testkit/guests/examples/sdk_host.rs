//! What single calls of the host give, on the SDK: shared data, queues, randomness, properties, claims, signatures.
//!
//! What it got goes on in headers of the request; a value that is absent, in none.

use portcullis_sdk::crypto::{Hash, verify_signature};
use portcullis_sdk::prelude::*;
use portcullis_sdk::{Queue, Shared, property, random};

const COUNT: Shared = Shared::new("requests");

/// RFC 6979, appendix A.2.5: a key on P-256, and its signature over `sample` with SHA-256, both in DER.
const KEY: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200\
    0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
    7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
const SIGNATURE: &str = "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
    022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";

struct Asking {
    queue: Queue,
}

#[filter]
impl Filter for Asking {
    fn new(_: NoConfiguration, _: &mut Setup) -> Result<Self, ConfigurationError> {
        Ok(Asking { queue: Queue::open("paths")? })
    }

    async fn request(&self, request: &mut Request, _: &mut ()) -> Result<Flow, Error> {
        let claims = request.claims();
        let path = request.path().unwrap_or_default().into_owned();
        self.queue.push(&path)?;
        COUNT.update(|old| {
            let count: u32 =
                old.and_then(|old| String::from_utf8(old).ok()?.parse().ok()).unwrap_or(0);
            (count + 1).to_string().into_bytes()
        })?;
        let verified = |text| verify_signature(Hash::Sha256, &bytes(KEY), &bytes(SIGNATURE), text);
        let random: [u8; 16] = random::bytes()?;
        let facts = [
            ("x-count", COUNT.read()?),
            ("x-queued", self.queue.pop()?),
            ("x-left", self.queue.pop()?),
            ("x-random", Some(format!("{random:02x?}").into_bytes())),
            ("x-url-path", property::REQUEST_URL_PATH.read().map(String::into_bytes)),
            (
                "x-listed",
                property::REQUEST_HEADERS.read().map(|all| all.len().to_string().into_bytes()),
            ),
            ("x-mtls", property::CONNECTION_MTLS.read().map(|mtls| mtls.to_string().into_bytes())),
            ("x-plugin", property::PLUGIN_NAME.read().map(String::into_bytes)),
            ("x-sub", claims.text("sub").map(String::into_bytes)),
            ("x-exp", claims.number("exp").map(|exp| exp.to_string().into_bytes())),
            ("x-admin", claims.flag("admin").map(|admin| admin.to_string().into_bytes())),
            ("x-groups", Some(claims.list("groups").join(" ").into_bytes())),
            ("x-tier", claims.within("org").text("tier").map(String::into_bytes)),
            (
                "x-verified",
                Some(format!("{} {}", verified(b"sample")?, verified(b"other")?).into_bytes()),
            ),
        ];
        for (name, value) in facts {
            if let Some(value) = value {
                request.headers_mut().set(name, value)?;
            }
        }
        Ok(Flow::Continue)
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect()
}
