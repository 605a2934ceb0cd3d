//! What is no token in compact form, or only looks like one.

use super::signer::{Signer, encode};
use super::{TOKEN_AUDIENCE, TOKEN_ISSUER, TokenFault, TokenVector, good_claims, put};

/// The longest token that is read.
const LONGEST: usize = 16 << 10;

/// Other serialisations, strange JSON, strange base64url, sizes.
pub(super) fn add(vectors: &mut Vec<TokenVector>, signers: &[Signer], now: u64) {
    let payload = good_claims(now);
    let signer = signers.iter().find(|signer| signer.algorithm == "HS256").unwrap();
    let token = signer.token(&payload);
    add_parts(vectors, &token);
    add_encodings(vectors, signer, &payload);
    for (name, payload, fault) in payloads(&payload) {
        put(
            vectors,
            format!("payload: {name}"),
            signer.token_with(signer.header(""), payload),
            fault,
        );
    }
    for (name, header) in strange_headers() {
        let token = signer.token_with(header, &payload);
        put(vectors, format!("header: {name}"), token, TokenFault::Malformed);
    }
    add_sizes(vectors, signer);
}

fn add_parts(vectors: &mut Vec<TokenVector>, token: &str) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    for (name, shape) in [
        ("a dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
        ("three dots", "...".to_owned()),
        ("a word", "token".to_owned()),
        ("null", "null".to_owned()),
        ("undefined", "undefined".to_owned()),
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("detached", format!("{header}..{signature}")),
        ("encrypted: five parts", format!("{header}.{payload}.{signature}.{payload}.{signature}")),
        (
            "flattened",
            format!(
                r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#
            ),
        ),
        (
            "general",
            format!(
                r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#
            ),
        ),
        ("the scheme twice", format!("Bearer {token}")),
        ("two in one", format!("{token},{token}")),
        ("two with a blank", format!("{token} {token}")),
        ("in quotes", format!("\"{token}\"")),
        ("in other quotes", format!("'{token}'")),
        ("escaped", token.replace('.', "%2E")),
        ("nested in its payload", format!("{header}.{}.{signature}", encode(token))),
        ("parts exchanged", format!("{payload}.{header}.{signature}")),
        ("a semicolon behind", format!("{token};x=y")),
        ("a slash behind", format!("{token}/")),
    ] {
        put(vectors, format!("shape: {name}"), shape, TokenFault::Malformed);
    }
}

/// base64url has one spelling for each text.
fn add_encodings(vectors: &mut Vec<TokenVector>, signer: &Signer, payload: &str) {
    let signed = |header: &str, payload: &str| {
        let text = format!("{header}.{payload}");
        format!("{text}.{}", encode(signer.sign(text.as_bytes())))
    };
    // A text of 3n + 1 bytes leaves four bits over.
    let mut header = signer.header("");
    while header.len() % 3 != 1 {
        header.push(' ');
    }
    let (written, body) = (encode(&header), encode(payload));
    put(vectors, "encoding: as it should be", signed(&written, &body), None);
    let (rest, last) = written.split_at(written.len() - 1);
    let next = char::from(last.as_bytes()[0] + 1);
    for (name, header) in [
        ("bits left over", format!("{rest}{next}")),
        ("padding in the header", format!("{written}==")),
        ("a sign of base64", format!("+{}", &written[1..])),
        ("a slash of base64", format!("/{}", &written[1..])),
        ("a line end", format!("{rest}\t{last}")),
        ("a blank", format!("{rest} {last}")),
        ("a percent sign", format!("{rest}%{last}")),
        ("cut off", rest.to_owned()),
    ] {
        put(vectors, format!("encoding: {name}"), signed(&header, &body), TokenFault::Malformed);
    }
    let padded = format!("{}=", encode(payload));
    put(
        vectors,
        "encoding: padding in the payload",
        signed(&encode(signer.header("")), &padded),
        TokenFault::Malformed,
    );
}

fn payloads(good: &str) -> Vec<(&'static str, Vec<u8>, Option<TokenFault>)> {
    let bad = Some(TokenFault::Malformed);
    let rest = format!(r#""iss":"{TOKEN_ISSUER}","aud":"{TOKEN_AUDIENCE}""#);
    let text = |text: String| text.into_bytes();
    let nested =
        |depth: usize| format!("{{{rest},\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    vec![
        ("a list", text(format!("[{good}]")), bad),
        ("a text", b"\"x\"".to_vec(), bad),
        ("a number", b"1".to_vec(), bad),
        ("null", b"null".to_vec(), bad),
        ("true", b"true".to_vec(), bad),
        ("a blank", b" ".to_vec(), bad),
        ("two objects", text(format!("{good}{good}")), bad),
        ("something behind", text(format!("{good}x")), bad),
        ("a zero behind", text(format!("{good}\0")), bad),
        ("a byte order mark", text(format!("\u{feff}{good}")), bad),
        ("a comment", text(format!("/**/{good}")), bad),
        ("a comma too many", text(format!("{{{rest},}}")), bad),
        ("quotes of another kind", b"{'iss':'x'}".to_vec(), bad),
        ("names without quotes", b"{iss:1}".to_vec(), bad),
        ("an open end", text(format!("{{{rest}")), bad),
        ("a control character", text(format!("{{{rest},\"x\":\"\n\"}}")), bad),
        ("half a surrogate pair", text(format!(r#"{{{rest},"x":"\ud800"}}"#)), bad),
        ("a wrong escape", text(format!(r#"{{{rest},"x":"\x41"}}"#)), bad),
        ("no UTF-8", [format!("{{{rest},\"x\":\"").as_bytes(), &[0xff], b"\"}"].concat(), bad),
        ("UTF-16", "{}".encode_utf16().flat_map(u16::to_be_bytes).collect(), bad),
        ("too deep", text(nested(1000)), bad),
        ("deep", text(nested(100)), None),
        ("white space around it", text(format!(" \r\n\t{good} ")), None),
        ("escapes", text(format!(r#"{{{rest},"x":"\u0041\ud83d\ude00"}}"#)), None),
        ("UTF-8", text(format!("{{{rest},\"x\":\"\u{e9}\u{1f600}\"}}")), None),
        ("an empty name", text(format!("{{{rest},\"\":\"\"}}")), None),
        ("a name of an object's own", text(format!("{{{rest},\"__proto__\":{{\"x\":1}}}}")), None),
    ]
}

fn strange_headers() -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("a list", br#"[{"alg":"HS256"}]"#),
        ("a text", br#""HS256""#),
        ("null", b"null"),
        ("empty", b"{}"),
        ("something behind", br#"{"alg":"HS256","kid":"hs256"}x"#),
        ("two objects", br#"{"alg":"HS256"}{"alg":"HS256"}"#),
        ("a byte order mark", b"\xef\xbb\xbf{\"alg\":\"HS256\"}"),
        ("no UTF-8", b"{\"alg\":\"HS256\",\"x\":\"\xff\"}"),
        ("a comment", br#"{"alg":"HS256"/**/}"#),
        ("a comma too many", br#"{"alg":"HS256",}"#),
        ("an open end", br#"{"alg":"HS256""#),
        ("quotes of another kind", b"{'alg':'HS256'}"),
    ]
}

fn add_sizes(vectors: &mut Vec<TokenVector>, signer: &Signer) {
    let of = |filler: usize| {
        let filler = "x".repeat(filler);
        signer.token(&format!(
            r#"{{"iss":"{TOKEN_ISSUER}","aud":"{TOKEN_AUDIENCE}","x":"{filler}"}}"#
        ))
    };
    let longest = (0..LONGEST).rev().map(|gap| LONGEST - gap).find(|filler| {
        // The length grows with the filler; four thirds of it, about.
        let length = filler * 4 / 3;
        length > LONGEST - 300 && of(*filler).len() > LONGEST
    });
    let longest = longest.unwrap();
    put(vectors, "size: the longest", of(longest - 1), None);
    put(vectors, "size: longer", of(longest), TokenFault::TooLong);
    put(vectors, "size: much longer", of(3 * LONGEST / 4 + 8000), TokenFault::TooLong);
    put(vectors, "size: no token, longer", "a".repeat(LONGEST + 1), TokenFault::TooLong);
}
