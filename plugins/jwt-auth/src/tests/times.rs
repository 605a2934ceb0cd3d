//! `exp`, `nbf` and the leeway; `aud`.

use super::*;

fn with(claim: &str, value: Value) -> String {
    let mut claims = json!({"iss": "tests"});
    claims[claim] = value;
    sign(claims)
}

#[test]
fn a_token_ends_one_minute_late() {
    let plugin = start(&settings(json!({})));
    assert!(send(&plugin, &with("exp", json!(NOW + 1))).is_continued());
    assert!(send(&plugin, &with("exp", json!(NOW - 59))).is_continued());
    assert!(send(&plugin, &with("exp", json!(NOW as f64 - 59.5))).is_continued());
    assert_eq!(reason(send(&plugin, &with("exp", json!(NOW - 60)))), "the token has expired");
    assert_eq!(reason(send(&plugin, &with("exp", json!(0)))), "the token has expired");
    assert_eq!(reason(send(&plugin, &with("exp", json!(-5)))), "the token has expired");
}

#[test]
fn a_token_begins_one_minute_early() {
    let plugin = start(&settings(json!({})));
    assert!(send(&plugin, &with("nbf", json!(NOW + 60))).is_continued());
    assert_eq!(reason(send(&plugin, &with("nbf", json!(NOW + 61)))), "the token is not valid yet");
}

#[test]
fn a_time_that_is_none_is_refused() {
    let plugin = start(&settings(json!({})));
    for (claim, value) in
        [("exp", json!("soon")), ("exp", json!(null)), ("nbf", json!([1])), ("exp", json!(true))]
    {
        let outcome = send(&plugin, &with(claim, value.clone()));
        assert_eq!(reason(outcome), "the token's exp or nbf is no time", "{claim}: {value}");
    }
}

#[test]
fn the_leeway_can_be_chosen() {
    let mut settings = settings(json!({}));
    settings["leeway"] = json!(0);
    let plugin = start(&settings);
    assert!(send(&plugin, &with("exp", json!(NOW + 1))).is_continued());
    assert_eq!(reason(send(&plugin, &with("exp", json!(NOW)))), "the token has expired");
}

#[test]
fn a_remembered_token_expires_too() {
    let plugin = start(&settings(json!({})));
    let token = with("exp", json!(NOW + 10));
    assert!(send(&plugin, &token).is_continued());
    Host.advance(Duration::from_secs(69));
    assert!(send(&plugin, &token).is_continued());
    Host.advance(Duration::from_secs(1));
    assert_eq!(reason(send(&plugin, &token)), "the token has expired");
}

#[test]
fn the_audience_is_one_of_ours() {
    let plugin = start(&settings(json!({"audiences": ["shop", "api"]})));
    for good in [json!("shop"), json!(["x", "api"])] {
        assert!(send(&plugin, &with("aud", good.clone())).is_continued(), "{good}");
    }
    for bad in [json!("other"), json!(["x"]), json!([]), json!(1), json!(null), json!("shop ")] {
        let outcome = send(&plugin, &with("aud", bad.clone()));
        assert_eq!(reason(outcome), "the token is meant for another audience", "{bad}");
    }
    let outcome = send(&plugin, &sign(json!({"iss": "tests"})));
    assert_eq!(reason(outcome), "the token is meant for another audience");
}
