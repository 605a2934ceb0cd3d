//! The system's own settings of DNS (`/etc/resolv.conf`), followed while the process lives: they change with the network.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::system_conf;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::ask::Ask;
use crate::name_servers::{NameServers, System};
use crate::search::Search;

/// Where it is.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How often it is looked at, at most: before a lookup, so that a process that looks nothing up never does.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// Who is asked, and what for.
pub(crate) struct Way {
    /// The servers.
    pub(crate) asker: Arc<dyn Ask>,
    /// How written names become full ones.
    pub(crate) search: Search,
}

#[cfg(test)]
impl Way {
    /// One that stays.
    pub(crate) fn for_test(
        asker: &Arc<crate::scripted::Scripted>,
        search: Search,
    ) -> impl Fn() -> Arc<Way> + use<> {
        let way = Arc::new(Way { asker: asker.clone(), search });
        move || way.clone()
    }
}

/// The settings as they are at the moment.
pub(crate) struct SystemConf {
    path: PathBuf,
    /// The servers that take the place of the file's.
    written: Vec<SocketAddr>,
    state: Mutex<State>,
}

struct State {
    contents: Option<Vec<u8>>,
    looked: Instant,
    way: Arc<Way>,
}

impl SystemConf {
    /// Of this file. Servers that are written take the place of its own; its search domains and `ndots` count in any
    /// case.
    pub(crate) fn new(path: &str, written: &[SocketAddr]) -> Self {
        let path = PathBuf::from(path);
        let contents = fs::read(&path).ok();
        let way = Arc::new(way_of(system_of(&path, contents.as_deref()), written));
        let state = Mutex::new(State { contents, looked: Instant::now(), way });
        SystemConf { path, written: written.to_vec(), state }
    }

    /// Whom to ask now. A file that cannot be read, or names no server, changes nothing.
    pub(crate) fn way(&self) -> Arc<Way> {
        let mut state = self.state.lock();
        if state.looked.elapsed() >= LOOKED_AT_EVERY {
            state.looked = Instant::now();
            self.look(&mut state);
        }
        state.way.clone()
    }

    fn look(&self, state: &mut State) {
        let contents = fs::read(&self.path).ok();
        if contents == state.contents {
            return;
        }
        match system_of(&self.path, contents.as_deref()) {
            Ok(system) => {
                tracing::info!(path = %self.path.display(), "the system's settings of DNS have changed");
                state.way = Arc::new(way_of(Ok(system), &self.written));
            }
            Err(why) => {
                tracing::warn!(why, "the system's settings of DNS cannot be read, those known stay")
            }
        }
        state.contents = contents;
    }
}

fn system_of(path: &Path, contents: Option<&[u8]>) -> Result<System, String> {
    let contents = contents.ok_or_else(|| format!("{}: cannot be read", path.display()))?;
    read(contents).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(not(target_vendor = "apple"))]
fn read(contents: &[u8]) -> Result<System, impl std::fmt::Display> {
    system_conf::parse_resolv_conf(contents)
}

/// There the file is a copy of what the system knows: it tells of a change, the system of what holds now.
#[cfg(target_vendor = "apple")]
fn read(_: &[u8]) -> Result<System, impl std::fmt::Display> {
    system_conf::read_system_conf()
}

fn way_of(system: Result<System, String>, written: &[SocketAddr]) -> Way {
    let (servers, search) = NameServers::new(system, written);
    Way { asker: Arc::new(servers), search }
}

#[cfg(test)]
mod tests {
    use portcullis_testkit::{Directory, DnsAnswer, DnsServer};

    use super::*;
    use crate::ask::Family;

    fn conf(directory: &Directory, text: &str, written: &[SocketAddr]) -> SystemConf {
        let path = directory.write("resolv.conf", text);
        SystemConf::new(path.to_str().unwrap(), written)
    }

    fn first(conf: &SystemConf) -> String {
        conf.way().search.candidates("db").remove(0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_noticed_and_nonsense_changes_nothing() {
        let directory = Directory::new();
        let write = |text: &str| directory.write("resolv.conf", text);
        let conf = conf(&directory, "nameserver 10.0.0.1\nsearch a.example\n", &[]);
        assert_eq!(first(&conf), "db.a.example.");
        let before = conf.way();
        write("nameserver 10.0.0.2\nsearch b.example\n");
        assert_eq!(first(&conf), "db.a.example.", "not looked at yet");
        tokio::time::advance(LOOKED_AT_EVERY).await;
        assert_eq!(first(&conf), "db.b.example.");
        assert!(!Arc::ptr_eq(&before.asker, &conf.way().asker));
        for nonsense in ["", "nameserver nowhere at all\n"] {
            write(nonsense);
            tokio::time::advance(LOOKED_AT_EVERY).await;
            assert_eq!(first(&conf), "db.b.example.", "{nonsense:?}");
        }
        fs::remove_file(&conf.path).unwrap();
        tokio::time::advance(LOOKED_AT_EVERY).await;
        assert_eq!(first(&conf), "db.b.example.");
        write("nameserver 10.0.0.3\nsearch c.example\n");
        tokio::time::advance(LOOKED_AT_EVERY).await;
        assert_eq!(first(&conf), "db.c.example.");
    }

    #[tokio::test]
    async fn written_servers_are_asked_whatever_the_file_says() {
        let (server, directory) = (DnsServer::start(), Directory::new());
        server.answer("a.example", DnsAnswer::addresses(5, &["10.0.0.9"]));
        let text = "nameserver 127.0.0.254\nsearch a.example\n";
        let conf = conf(&directory, text, &[server.address]);
        let records = conf.way().asker.ask("a.example.", Family::V4).await.unwrap();
        assert_eq!(records.addresses[0].to_string(), "10.0.0.9");
        assert_eq!(first(&conf), "db.a.example.");
    }
}
