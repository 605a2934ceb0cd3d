//! What ends a connection, and when.

use super::*;

/// A connection whose first byte is awaited.
fn connection() -> (Rc<Clock>, Rc<Activity>) {
    let clock = Rc::new(Clock::default());
    let activity = Activity::for_test(clock.clone());
    activity.begin_waiting();
    (clock, activity)
}

fn after(clock: &Clock, activity: &Activity, seconds: u32) -> Order {
    clock.set_seconds(clock.seconds() + seconds);
    activity.enforce();
    activity.order.get()
}

#[test]
fn a_silent_connection_is_cut_after_ten_seconds() {
    let (clock, activity) = connection();
    assert_eq!(after(&clock, &activity, 10), Order::Serve);
    assert_eq!(after(&clock, &activity, 1), Order::Cut);
}

#[test]
fn a_handshake_has_a_time_of_its_own() {
    let clock = Rc::new(Clock::default());
    let limits = Limits { handshake: 3, ..Limits::default() };
    let stalled = Activity::new(clock.clone(), limits, 0);
    let done = Activity::new(clock.clone(), limits, 0);
    clock.set_seconds(3);
    done.begin_waiting();
    assert_eq!(after(&clock, &stalled, 1), Order::Cut);
    assert_eq!(after(&clock, &done, 9), Order::Serve);
    assert_eq!(after(&clock, &done, 1), Order::Cut);
}

#[test]
fn a_dribbled_head_has_ten_seconds_in_all() {
    let (clock, activity) = connection();
    activity.begin_head();
    assert_eq!(after(&clock, &activity, 6), Order::Serve);
    activity.begin_head();
    assert_eq!(after(&clock, &activity, 5), Order::Cut);
}

#[test]
fn idleness_lasts_longer_than_an_alb_keeps_its_connections() {
    let (clock, activity) = connection();
    drop(OpenRequest::for_test(&activity));
    assert_eq!(after(&clock, &activity, 75), Order::Serve);
    assert_eq!(after(&clock, &activity, 1), Order::Finish);
    assert!(activity.wants_close());
    assert_eq!(after(&clock, &activity, 11), Order::Cut);
}

#[test]
fn another_policy_applies_at_once() {
    let (clock, activity) = connection();
    drop(OpenRequest::for_test(&activity));
    assert_eq!(after(&clock, &activity, 50), Order::Serve);
    activity.set_limits(Limits { idle: 20, ..Limits::default() });
    assert_eq!(after(&clock, &activity, 0), Order::Finish);
}

#[test]
fn who_still_reads_is_not_idle_but_who_pings_is() {
    let (clock, reader) = connection();
    let pinger = Activity::for_test(clock.clone());
    for activity in [&reader, &pinger] {
        activity.begin_multiplexing();
        drop(OpenRequest::for_test(activity));
    }
    reader.sent(76 * 101);
    assert_eq!(after(&clock, &reader, 76), Order::Serve);
    // Acknowledgements are not sent to be read.
    assert_eq!(after(&clock, &pinger, 0), Order::Finish);
    reader.sent(75 * 99);
    assert_eq!(after(&clock, &reader, 76), Order::Finish);
    reader.sent(10 * 101);
    assert_eq!(after(&clock, &reader, 11), Order::Finish);
    assert_eq!(after(&clock, &reader, 11), Order::Cut);
}

#[test]
fn the_rest_of_an_unwanted_body_has_its_time() {
    let (clock, activity) = connection();
    drop(OpenRequest::for_test(&activity));
    activity.begin_draining();
    assert_eq!(after(&clock, &activity, 10), Order::Serve);
    assert!(!activity.wants_close());
    assert_eq!(after(&clock, &activity, 1), Order::Cut);
}

#[test]
fn a_request_in_flight_is_left_alone() {
    let (clock, activity) = connection();
    let first = OpenRequest::for_test(&activity);
    let second = OpenRequest::for_test(&activity);
    drop(first);
    assert_eq!(after(&clock, &activity, 1000), Order::Serve);
    drop(second);
    assert_eq!(after(&clock, &activity, 1), Order::Serve);
}

#[test]
fn an_old_connection_goes_with_its_next_response() {
    let (clock, activity) = connection();
    drop(OpenRequest::for_test(&activity));
    clock.set_seconds(3560);
    drop(OpenRequest::for_test(&activity));
    assert_eq!(after(&clock, &activity, 41), Order::Retire);
    assert!(activity.answers_last() && activity.wants_goaway());
    // A request may be on its way to it.
    assert!(!activity.wants_close());
    assert_eq!(after(&clock, &activity, 76), Order::Finish);
    assert!(activity.wants_close());
}

#[test]
fn age_never_ends_a_request() {
    let (clock, activity) = connection();
    let _request = OpenRequest::for_test(&activity);
    assert_eq!(after(&clock, &activity, 10_000), Order::Retire);
    assert_eq!(after(&clock, &activity, 10_000), Order::Retire);
}

#[test]
fn closing_waits_for_a_head_on_its_way() {
    let (clock, activity) = connection();
    activity.begin_head();
    clock.advance(Stage::Closing);
    assert!(!activity.wants_close());
    let _request = OpenRequest::for_test(&activity);
    assert!(activity.wants_close());
}

#[test]
fn a_drain_lets_a_new_http2_connection_send_its_first_request() {
    let (clock, activity) = connection();
    activity.begin_multiplexing();
    clock.advance(Stage::Draining);
    assert!(!activity.wants_goaway());
    let _request = OpenRequest::for_test(&activity);
    assert!(activity.wants_goaway());
    assert!(!activity.wants_close());
}
