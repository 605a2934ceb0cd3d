//! One counter and one histogram for each route and status class, defined when first needed and then kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use portcullis_sdk::metrics::{Counter, Histogram};

/// The hundreds of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusClass {
    Informational,
    Success,
    Redirection,
    ClientError,
    ServerError,
    /// The client went away before there was a response.
    None,
}

impl StatusClass {
    pub(crate) fn of(status: Option<i64>) -> Self {
        match status {
            Some(100..200) => StatusClass::Informational,
            Some(200..300) => StatusClass::Success,
            Some(300..400) => StatusClass::Redirection,
            Some(400..500) => StatusClass::ClientError,
            Some(500..600) => StatusClass::ServerError,
            _ => StatusClass::None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            StatusClass::Informational => "1xx",
            StatusClass::Success => "2xx",
            StatusClass::Redirection => "3xx",
            StatusClass::ClientError => "4xx",
            StatusClass::ServerError => "5xx",
            StatusClass::None => "none",
        }
    }
}

const CLASSES: usize = 6;
const LONGEST_ROUTE: usize = 120;

/// The handles of one series; what the host would not define counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Series {
    requests: Option<Counter>,
    duration: Option<Histogram>,
}

impl Series {
    fn define(route: &str, class: StatusClass) -> Self {
        let class = class.name();
        let requests = Counter::define(&format!("telemetry.requests.{route}.{class}"));
        let duration = Histogram::define(&format!("telemetry.request_duration_ms.{route}.{class}"));
        if let Some(error) = requests.err().or(duration.err()) {
            portcullis_sdk::warn!("no series for route {route:?}, {class}: {error}");
        }
        Series { requests: requests.ok(), duration: duration.ok() }
    }

    pub(crate) fn count(self) {
        if let Some(requests) = self.requests {
            requests.increment();
        }
    }

    pub(crate) fn observe(self, duration: Duration) {
        if let Some(histogram) = self.duration {
            histogram.record(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        }
    }
}

/// All series, by route.
pub(crate) struct SeriesTable {
    table: RefCell<Table>,
    most: usize,
}

#[derive(Default)]
struct Table {
    routes: HashMap<String, OfRoute, BuildHasherDefault<NameHasher>>,
    /// Routes that came too late.
    other: OfRoute,
    defined: usize,
}

type OfRoute = [Option<Series>; CLASSES];

impl SeriesTable {
    pub(crate) fn new(most: usize) -> Self {
        SeriesTable { table: RefCell::default(), most }
    }

    /// The series of a route, empty for none, and a class.
    pub(crate) fn find(&self, route: &str, class: StatusClass) -> Series {
        let mut table = self.table.borrow_mut();
        let known = table.routes.get(route).and_then(|series| *series.get(class as usize)?);
        known.unwrap_or_else(|| table.define(route, class, self.most))
    }
}

impl Table {
    fn define(&mut self, route: &str, class: StatusClass, most: usize) -> Series {
        if self.defined >= most {
            return define_once(&mut self.other, "other", class);
        }
        self.defined += 1;
        let series = self.routes.entry(route.to_owned()).or_default();
        define_once(series, &name_of(route), class)
    }
}

fn define_once(series: &mut OfRoute, route: &str, class: StatusClass) -> Series {
    match series.get_mut(class as usize) {
        Some(slot) => *slot.get_or_insert_with(|| Series::define(route, class)),
        None => Series::default(),
    }
}

/// A route's name as a part of a metric's: dots would part it.
fn name_of(route: &str) -> String {
    if route.is_empty() {
        return "no_route".to_owned();
    }
    let keep =
        |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    route.chars().take(LONGEST_ROUTE).map(keep).collect()
}

/// Names of routes come from the configuration, not from clients: a fast hash is safe.
#[derive(Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
