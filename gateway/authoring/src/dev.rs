//! `plugin dev`: the plugin before an example upstream, built anew whenever something is saved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_wasm::Engine;
use tokio::sync::oneshot;

use crate::author_error::AuthorError;
use crate::build::Built;
use crate::dev_gateway::{DevGateway, Renewed, Said};
use crate::dev_settings::DevSettings;
use crate::echo_server::start_echo;
use crate::effort::Effort;
use crate::progress::Progress;
use crate::project::Project;
use crate::source_watch::SourceWatch;
use crate::suite_services::Services;

/// Serves the project until the future is dropped or the gateway ends. What happens is told by `tell`, line by line.
///
/// # Errors
/// The project does not build to begin with, or the gateway does not serve.
pub async fn develop(
    project: Project,
    engine: Arc<Engine>,
    settings: &DevSettings,
    mut tell: impl FnMut(&str),
) -> Result<(), AuthorError> {
    let mut watch = SourceWatch::start(&project.folder)?;
    let built = Building::begin(&project, &engine).end().await.1?;
    let upstream = start_echo()
        .await
        .map_err(|error| AuthorError::Failure(format!("the example upstream: {error}")))?;
    let services = Services::of_suites(&project.folder.join("tests"))
        .await
        .map_err(|error| AuthorError::Failure(format!("a service on loopback: {error}")))?;
    let mut gateway =
        DevGateway::start(settings, &project, &built.path, upstream, services.addresses()).await?;
    tell(&format!("{} is served on http://{}; try", project.name, gateway.address));
    tell(&format!("    curl -i http://{}/hello", gateway.address));
    tell("what is saved is served a moment later; Ctrl-C ends it");
    let (mut building, mut saved) = (None, None);
    loop {
        tokio::select! {
            () = watch.changed(), if building.is_none() => {
                building = Some(Building::begin(&project, &engine));
            }
            (begun, built) = finished(&mut building) => {
                building = None;
                match built.and_then(|_| gateway.renew(&project)) {
                    Ok(Renewed::Something) => saved = Some((begun, begun.elapsed())),
                    Ok(Renewed::Nothing) => tell("what was saved changes nothing that is served"),
                    Err(error) => tell(&format!("{error}; the last good one serves on")),
                }
            }
            said = gateway.next() => match said {
                Some(Said::Applied) => {
                    if let Some((begun, building)) = saved.take() {
                        tell(&applied(begun.elapsed(), building));
                    }
                }
                Some(Said::Line(line)) => tell(&line),
                None => return Err(AuthorError::Failure("the gateway has ended".to_owned())),
            }
        }
    }
}

/// A build on a thread of its own: what the gateway says is told meanwhile.
struct Building {
    begun: Instant,
    built: oneshot::Receiver<Result<Built, AuthorError>>,
}

impl Building {
    fn begin(project: &Project, engine: &Arc<Engine>) -> Self {
        let (project, engine) = (project.clone(), engine.clone());
        let (sender, built) = oneshot::channel();
        std::thread::spawn(move || {
            // Nobody waits any more when the command is ending.
            let _ = sender.send(project.build(Effort::Quick, &engine, &Progress::shown()));
        });
        Building { begun: Instant::now(), built }
    }

    /// When it began, and what came of it. Whoever stops waiting misses nothing.
    async fn end(&mut self) -> (Instant, Result<Built, AuthorError>) {
        let lost = |_| Err(AuthorError::Failure("the build ended without a result".to_owned()));
        (self.begun, (&mut self.built).await.unwrap_or_else(lost))
    }
}

/// Never, where nothing is being built.
async fn finished(building: &mut Option<Building>) -> (Instant, Result<Built, AuthorError>) {
    match building {
        Some(building) => building.end().await,
        None => std::future::pending().await,
    }
}

fn applied(whole: Duration, building: Duration) -> String {
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let swapping = whole.saturating_sub(building);
    format!(
        "served {} after it was saved: built in {}, swapped in {}",
        seconds(whole),
        seconds(building),
        seconds(swapping)
    )
}
