//! The fields of an `EdgePolicy`, each with what it may hold.

use std::time::Duration;

use portcullis_message::http1::Limits;
use portcullis_message::{Backslashes, EscapedSlashes, Slashes, Underscores};

use super::edge_setting::{PlacedSetting, Setting};
use crate::reader::{Cursor, Fields, Schema};
use crate::scalars::{choice, duration, parse_quantity, show_quantity};
use crate::yaml::Value;

/// The fields that hold settings, by the section of `spec` that they stand in.
struct Section {
    name: &'static str,
    schema: Schema,
    fields: &'static [(&'static str, Shape)],
}

/// What a field may hold.
enum Shape {
    /// A duration of so many seconds.
    Time { least: u64, most: u64, make: fn(Duration) -> Setting },
    /// The same, or `off`.
    TimeOrOff { least: u64, most: u64, make: fn(Option<Duration>) -> Setting },
    /// A whole number.
    Count { least: u32, most: u32, make: fn(u32) -> Setting },
    /// A number of bytes.
    Size { least: u32, most: u32, make: fn(u32) -> Setting },
    /// The same, or `off`.
    SizeOrOff { least: u64, most: u64, make: fn(Option<u64>) -> Setting },
    /// `true` or `false`.
    Flag { yes: Setting, no: Setting },
    /// One of some words.
    Word(&'static [(&'static str, Setting)]),
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KI: u32 = 1 << 10;
const MI: u32 = 1 << 20;
/// `http::Uri` holds no more than 64 KiB, the line beside it method and version.
const LONGEST_LINE: u32 = 60 * KI;

static SECTIONS: [Section; 5] = [
    Section {
        name: "timeouts",
        schema: Schema {
            what: "timeouts",
            served: &[
                "tlsHandshake",
                "firstByte",
                "requestHead",
                "idle",
                "maxAge",
                "streamIdle",
                "stalledBody",
            ],
            not_yet: &[],
            skipped: &[],
        },
        fields: &[
            (
                "tlsHandshake",
                Shape::Time { least: 1, most: 5 * MINUTE, make: Setting::TlsHandshake },
            ),
            ("firstByte", Shape::Time { least: 1, most: 5 * MINUTE, make: Setting::FirstByte }),
            ("requestHead", Shape::Time { least: 1, most: 5 * MINUTE, make: Setting::RequestHead }),
            ("idle", Shape::Time { least: 1, most: DAY, make: Setting::Idle }),
            ("maxAge", Shape::TimeOrOff { least: 1, most: 7 * DAY, make: Setting::MaxAge }),
            ("streamIdle", Shape::TimeOrOff { least: 1, most: DAY, make: Setting::StreamIdle }),
            ("stalledBody", Shape::TimeOrOff { least: 1, most: HOUR, make: Setting::StalledBody }),
        ],
    },
    Section {
        name: "limits",
        schema: Schema {
            what: "limits",
            served: &[
                "connections",
                "headBytes",
                "fieldBytes",
                "requestLineBytes",
                "fields",
                "requestBody",
                "minRate",
            ],
            not_yet: &[],
            skipped: &[],
        },
        fields: &[
            ("connections", Shape::Count { least: 1, most: 1_000_000, make: Setting::Connections }),
            (
                "headBytes",
                Shape::Size { least: KI, most: MI, make: |size| Setting::HeadBytes(room(size)) },
            ),
            (
                "fieldBytes",
                Shape::Size { least: 256, most: MI, make: |size| Setting::FieldBytes(room(size)) },
            ),
            (
                "requestLineBytes",
                Shape::Size {
                    least: 256,
                    most: LONGEST_LINE,
                    make: |size| Setting::RequestLineBytes(room(size)),
                },
            ),
            (
                "fields",
                Shape::Count {
                    least: 1,
                    most: Limits::MOST_FIELDS as u32,
                    make: |number| Setting::Fields(room(number)),
                },
            ),
            (
                "requestBody",
                Shape::SizeOrOff { least: 1, most: 1 << 40, make: Setting::RequestBody },
            ),
            ("minRate", Shape::SizeOrOff { least: 0, most: MI as u64, make: min_rate }),
        ],
    },
    Section {
        name: "http2",
        schema: Schema {
            what: "http2",
            served: &["streams", "streamWindow", "connectionWindow", "controlFrames"],
            not_yet: &[],
            skipped: &[],
        },
        fields: &[
            ("streams", Shape::Count { least: 1, most: 10_000, make: Setting::Streams }),
            ("streamWindow", Shape::Size { least: KI, most: 16 * MI, make: Setting::StreamWindow }),
            (
                "connectionWindow",
                Shape::Size { least: 64 * KI, most: 64 * MI, make: Setting::ConnectionWindow },
            ),
            (
                "controlFrames",
                Shape::Count { least: 1, most: 10_000, make: Setting::ControlFrames },
            ),
        ],
    },
    Section {
        name: "path",
        schema: Schema {
            what: "path",
            served: &["mergeSlashes", "escapedSlashes", "backslashes"],
            not_yet: &[],
            skipped: &[],
        },
        fields: &[
            (
                "mergeSlashes",
                Shape::Flag {
                    yes: Setting::Slashes(Slashes::Merged),
                    no: Setting::Slashes(Slashes::Kept),
                },
            ),
            (
                "escapedSlashes",
                Shape::Word(&[
                    ("refuse", Setting::EscapedSlashes(EscapedSlashes::Refused)),
                    ("keep", Setting::EscapedSlashes(EscapedSlashes::Kept)),
                ]),
            ),
            (
                "backslashes",
                Shape::Word(&[
                    ("refuse", Setting::Backslashes(Backslashes::Refused)),
                    ("toSlash", Setting::Backslashes(Backslashes::ToSlash)),
                ]),
            ),
        ],
    },
    Section {
        name: "headers",
        schema: Schema { what: "headers", served: &["underscores"], not_yet: &[], skipped: &[] },
        fields: &[(
            "underscores",
            Shape::Word(&[
                ("refuse", Setting::Underscores(Underscores::Refused)),
                ("allow", Setting::Underscores(Underscores::Allowed)),
            ]),
        )],
    },
];

/// Reads every setting that is written.
pub(super) fn read_settings(spec: &Fields<'_>) -> Vec<PlacedSetting> {
    let mut settings = Vec::new();
    for section in &SECTIONS {
        let Some(field) = spec.field(section.name) else { continue };
        let Some(fields) = field.fields(&section.schema) else { continue };
        for (name, shape) in section.fields {
            let Some(field) = fields.field(name) else { continue };
            let read = shape.read(&field);
            settings.extend(read.map(|setting| PlacedSetting {
                setting,
                field: field.path(),
                origin: field.origin(),
            }));
        }
    }
    settings
}

impl Shape {
    fn read(&self, field: &Cursor<'_>) -> Option<Setting> {
        match self {
            &Shape::Time { least, most, make } => time(field, least, most).map(make),
            &Shape::TimeOrOff { make, .. } if is_off(field, &["0", "0s"]) => Some(make(None)),
            &Shape::TimeOrOff { least, most, make } => {
                time(field, least, most).map(|time| make(Some(time)))
            }
            &Shape::Count { least, most, make } => {
                let number = field.integer(least.into(), most.into())?;
                u32::try_from(number).ok().map(make)
            }
            &Shape::Size { least, most, make } => {
                let size = size(field, least.into(), most.into())?;
                u32::try_from(size).ok().map(make)
            }
            &Shape::SizeOrOff { make, .. } if is_off(field, &[]) => Some(make(None)),
            &Shape::SizeOrOff { least, most, make } => {
                size(field, least, most).map(|size| make(Some(size)))
            }
            Shape::Flag { yes, no } => {
                field.boolean().map(|value| if value { yes } else { no }).cloned()
            }
            Shape::Word(words) => choice(field, words),
        }
    }
}

/// `off`, of which some writers of YAML make `false`, or one of these.
fn is_off(field: &Cursor<'_>, zeros: &[&str]) -> bool {
    match &field.node().value {
        Value::Text(text) => &**text == "off" || zeros.contains(&&**text),
        Value::Bool(value) => !value,
        _ => false,
    }
}

fn time(field: &Cursor<'_>, least: u64, most: u64) -> Option<Duration> {
    if is_off(field, &["0", "0s"]) {
        let help = format!("write a duration from {least}s to {}", show_time(most));
        field.refuse("this cannot be switched off", help);
        return None;
    }
    let time = duration(field)?;
    let [shortest, longest] = [least, most].map(Duration::from_secs);
    if (shortest..=longest).contains(&time) {
        return Some(time);
    }
    let message = format!("{time:?} is not from {least}s to {}", show_time(most));
    field.refuse(message, "write a duration between the two, or leave the field out");
    None
}

fn size(field: &Cursor<'_>, least: u64, most: u64) -> Option<u64> {
    let written = match &field.node().value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::Text(text) => parse_quantity(text).map(|size| size as u64),
        _ => None,
    };
    if let Some(size) = written.filter(|size| (least..=most).contains(size)) {
        return Some(size);
    }
    let message =
        format!("this is no size from {} to {}", show_quantity(least), show_quantity(most));
    field.refuse(message, "write bytes as a number, or with a unit such as Ki or Mi");
    None
}

fn show_time(seconds: u64) -> String {
    match seconds {
        _ if seconds.is_multiple_of(HOUR) => format!("{}h", seconds / HOUR),
        _ if seconds.is_multiple_of(MINUTE) => format!("{}m", seconds / MINUTE),
        _ => format!("{seconds}s"),
    }
}

fn room(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Without a floor, or at 0, it is off.
fn min_rate(rate: Option<u64>) -> Setting {
    Setting::MinRate(rate.map_or(0, |rate| u32::try_from(rate).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_section_is_read() {
        for section in &SECTIONS {
            let names: Vec<_> = section.fields.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, section.schema.served, "{}", section.name);
        }
    }
}
