//! Fetching modules: from the cache where that is enough, else from where they are.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_crypto::{PublicKey, hex, sha256};
use portcullis_model::{ModuleUrl, PluginModule, PullCredentials};
use portcullis_telemetry::PluginSupplyCounts;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::timeout;

use crate::SupplyError;
use crate::abandonment::Abandoned;
use crate::cache::{Cache, Lead};
use crate::cosign::check_signature;
use crate::image::Image;
use crate::origin::NamedBy;
use crate::registry::Repository;
use crate::request::{Freshness, ModuleRequest};
use crate::transport::{Ask, Transport};
use crate::web::get;

/// One fetch, signatures and all.
const LONGEST: Duration = Duration::from_secs(120);
/// At once; each holds a layer in memory.
const MOST_FETCHES: usize = 8;

/// Bundles of authorities where operating systems have them.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The authorities that the operating system trusts, in PEM; nothing where it has none.
pub fn system_bundle() -> Vec<u8> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let known = BUNDLES.iter().map(PathBuf::from);
    named.into_iter().chain(known).find_map(|path| std::fs::read(path).ok()).unwrap_or_default()
}

/// What decides how modules are fetched.
#[derive(Clone, Debug, Default)]
pub struct SupplySettings {
    /// Where modules are kept; without it they are fetched with every start.
    pub state_dir: Option<PathBuf>,
    /// Who vouches for servers, in PEM.
    pub authorities: Vec<u8>,
    /// One of these keys has to vouch for each image, whatever else does; none is none.
    pub keys: Vec<PublicKey>,
    /// What becomes of what comes over the network without a signature.
    pub unsigned: UnsignedModules,
}

/// What becomes of modules that come over the network without a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnsignedModules {
    /// They are taken, where nobody demands one.
    #[default]
    Allowed,
    /// They are refused.
    Refused,
}

/// A module.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their SHA-256.
    pub digest: [u8; 32],
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetched({}, {} bytes)", hex(&self.digest), self.bytes.len())
    }
}

/// What fetches, on a small runtime of its own: no registry, however slow, holds up the rest of the control side.
pub struct Supply {
    work: Arc<Work>,
    runtime: Option<Runtime>,
}

struct Work {
    settings: SupplySettings,
    transport: Transport,
    cache: Cache,
    counts: Arc<PluginSupplyCounts>,
    fetches: Semaphore,
    /// Who wants the same thing waits for whoever is fetching it.
    under_way: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
}

impl Supply {
    /// Opens the cache and starts the runtime.
    ///
    /// # Errors
    /// The system gives no thread, or TLS cannot be set up. A cache that cannot be used is said in the log, and done
    /// without.
    pub fn new(settings: SupplySettings, counts: Arc<PluginSupplyCounts>) -> io::Result<Arc<Self>> {
        let cache = Cache::open(settings.state_dir.as_deref()).or_else(|error| {
            tracing::warn!("modules of plugins are not kept: {error}");
            Cache::open(None)
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("plugin-supply")
            .enable_all()
            .build()?;
        let work = Work {
            transport: Transport::new(&settings.authorities).map_err(io::Error::other)?,
            cache: cache.map_err(io::Error::other)?,
            settings,
            counts,
            fetches: Semaphore::new(MOST_FETCHES),
            under_way: Mutex::default(),
        };
        Ok(Arc::new(Supply { work: Arc::new(work), runtime: Some(runtime) }))
    }

    /// Fetches a module and waits for it, as long as somebody wants it. For threads that may block.
    ///
    /// # Errors
    /// Says what is wrong, and with whom.
    pub fn fetch(
        &self,
        request: &ModuleRequest,
        freshness: Freshness,
        abandoned: &Abandoned,
    ) -> Result<Fetched, SupplyError> {
        let ended = || SupplyError::Unreachable("nobody wants it any more".to_owned());
        let Some(runtime) = &self.runtime else { return Err(ended()) };
        let (work, request) = (self.work.clone(), request.clone());
        let abandoned = abandoned.clone();
        let fetching = runtime.spawn(async move {
            tokio::select! {
                fetched = work.fetch(&request, freshness) => fetched,
                () = abandoned.wait() => Err(ended()),
            }
        });
        runtime.block_on(fetching).unwrap_or_else(|_| Err(ended()))
    }

    /// Waits for so long, or until nobody wants it any more. For threads that may block.
    pub fn wait(&self, pause: Duration, abandoned: &Abandoned) {
        let Some(runtime) = &self.runtime else { return };
        let abandoned = abandoned.clone();
        // Either end is as good.
        let _ = runtime.block_on(async { timeout(pause, abandoned.wait()).await });
    }
}

impl Drop for Supply {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops it may be on a runtime of its own, which may not block.
            runtime.shutdown_background();
        }
    }
}

impl Work {
    async fn fetch(
        &self,
        request: &ModuleRequest,
        freshness: Freshness,
    ) -> Result<Fetched, SupplyError> {
        if let PullCredentials::Missing(why) = &request.supply.credentials {
            return Err(SupplyError::Forbidden(format!("nothing is pulled without them: {why}")));
        }
        let demands = self.demands(request)?;
        let turn = self.turn(request);
        let _turn = turn.lock().await;
        let kept = self.kept(request, &demands);
        match (freshness, kept) {
            (Freshness::Kept | Freshness::KeptOnly, Some(kept)) => Ok(kept),
            (Freshness::KeptOnly, None) => Err(SupplyError::NotCached),
            (Freshness::Kept, None) => self.fetch_anew(request, &demands).await,
            (Freshness::Anew, kept) => match (self.fetch_anew(request, &demands).await, kept) {
                (Err(SupplyError::Unreachable(why)), Some(kept)) => {
                    tracing::warn!(module = %request.module, "not pulled anew, what is kept serves: {why}");
                    Ok(kept)
                }
                (fetched, _) => fetched,
            },
        }
    }

    /// The sets of keys of which one each has to vouch for it.
    fn demands(&self, request: &ModuleRequest) -> Result<Vec<Vec<PublicKey>>, SupplyError> {
        let own = request.supply.verification_key.as_deref().cloned();
        let of_all = Some(self.settings.keys.clone()).filter(|keys| !keys.is_empty());
        let demands: Vec<_> = own.map(|key| vec![key]).into_iter().chain(of_all).collect();
        let may_be_signed = matches!(request.module, PluginModule::Image(_));
        let message = match (
            may_be_signed,
            demands.is_empty(),
            self.settings.unsigned == UnsignedModules::Refused,
        ) {
            (true, true, true) => {
                "every plugin has to be signed (--require-signed-plugins), and there is no `verificationKey`"
            }
            (false, false, _) | (false, _, true) => {
                "every plugin has to be signed, and only images of registries can be: push it to one and sign it there"
            }
            _ => return Ok(demands),
        };
        Err(SupplyError::Signature(message.to_owned()))
    }

    fn turn(&self, request: &ModuleRequest) -> Arc<AsyncMutex<()>> {
        let mut turns = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(request.module.to_string()).or_default().clone()
    }

    /// What is kept, where it is what is wanted and the right keys have vouched for it.
    fn kept(&self, request: &ModuleRequest, demands: &[Vec<PublicKey>]) -> Option<Fetched> {
        let lead = self.cache.lead(request)?;
        let vouched = |keys: &Vec<PublicKey>| {
            keys.iter().any(|key| lead.signed_by.contains(&key.fingerprint()))
        };
        if !demands.iter().all(vouched) {
            return None;
        }
        if request.wanted_module().is_some_and(|wanted| *wanted != lead.module) {
            return None;
        }
        let bytes = self.cache.module(&lead.module).filter(|bytes| bytes.len() <= request.limit)?;
        Some(Fetched { digest: sha256(&bytes), bytes })
    }

    async fn fetch_anew(
        &self,
        request: &ModuleRequest,
        demands: &[Vec<PublicKey>],
    ) -> Result<Fetched, SupplyError> {
        let fetched = timeout(LONGEST, self.fetch_in_turn(request, demands)).await;
        let fetched = fetched.unwrap_or_else(|_| {
            let why = format!("{}: not there within two minutes", request.module);
            Err(SupplyError::Unreachable(why))
        });
        self.counts.fetched(fetched.as_ref().map_or_else(SupplyError::result, |_| "fetched"));
        fetched
    }

    async fn fetch_in_turn(
        &self,
        request: &ModuleRequest,
        demands: &[Vec<PublicKey>],
    ) -> Result<Fetched, SupplyError> {
        // It is never closed.
        let _permit = self.fetches.acquire().await;
        let (bytes, signed_by) = match &request.module {
            PluginModule::Image(_) => self.pull(request, demands).await?,
            PluginModule::Web(url) => (self.download(url, request.limit).await?, Vec::new()),
            other => return Err(SupplyError::Malformed(format!("{other} is not fetched"))),
        };
        let digest = sha256(&bytes);
        let found = hex(&digest);
        if let Some(wanted) = request.wanted_module().filter(|wanted| **wanted != found) {
            let what = "the module".to_owned();
            return Err(SupplyError::Digest { what, wanted: wanted.clone(), found });
        }
        self.cache.keep(request, Lead { module: found, signed_by }, &bytes);
        Ok(Fetched { bytes, digest })
    }

    /// The signature comes first: what is not signed is not even pulled.
    async fn pull(
        &self,
        request: &ModuleRequest,
        demands: &[Vec<PublicKey>],
    ) -> Result<(Vec<u8>, Vec<String>), SupplyError> {
        let PluginModule::Image(reference) = &request.module else {
            return Err(SupplyError::Malformed("this is no image".to_owned()));
        };
        let login = match &request.supply.credentials {
            PullCredentials::Known(known) => known.of(&reference.registry),
            _ => None,
        };
        let mut repository = Repository::new(&self.transport, reference, login);
        let image = Image::find(&mut repository, reference.version()).await?;
        let mut signed_by = Vec::new();
        for keys in demands {
            let key = check_signature(&mut repository, &image.digests, keys).await?;
            signed_by.push(key.fingerprint());
        }
        Ok((image.module(&mut repository, request.limit).await?, signed_by))
    }

    async fn download(&self, url: &ModuleUrl, limit: usize) -> Result<Vec<u8>, SupplyError> {
        let parsed = url.as_str().parse();
        let ask = Ask {
            url: parsed
                .map_err(|_| SupplyError::Malformed(format!("`{}` is no URL", url.as_str())))?,
            accept: "application/wasm, */*",
            authorization: None,
            limit,
            named_by: NamedBy::Configuration,
            sent: None,
        };
        Ok(get(&self.transport, ask).await?.body)
    }
}
