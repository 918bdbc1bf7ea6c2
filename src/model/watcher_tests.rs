use bytes::Bytes;

use super::*;
use crate::detect::Hybrid;
use crate::model::bundle::{Origin, SigningKey};
use crate::model::registry::Promotion;
use crate::model::store::{MemoryStore, ObjectName, Store, When};
use crate::pipeline::Tally;

struct World {
    store: Store,
    registry: Registry,
    key: SigningKey,
    slot: Arc<ModelSlot>,
    metrics: ModelMetrics,
    totals: Arc<Totals>,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let store = Store::Memory(MemoryStore::default());
        Self {
            registry: Registry::new(store.clone(), "m", 1 << 20).unwrap(),
            store,
            key: SigningKey::from_pem(&SigningKey::generate_pem().unwrap()).unwrap(),
            slot: Arc::new(ModelSlot::new(Model::builtin())),
            metrics: ModelMetrics::default(),
            totals: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn following(&self) -> Following {
        Following {
            interval: Duration::from_millis(1),
            timeout: Duration::from_secs(30),
            bake: Duration::from_secs(900),
            trust: Trust::new([self.key.public()], []),
            max_bytes: 1 << 20,
            clock: || 1_000,
        }
    }

    fn watcher(&self) -> Watcher {
        let local = Local::open(self.folder.path()).unwrap();
        let (slot, metrics, totals) =
            (Arc::clone(&self.slot), self.metrics.clone(), Arc::clone(&self.totals));
        Watcher::new(slot, self.registry.clone(), Some(local), self.following(), metrics, totals)
    }

    async fn promote(&self, z_threshold: f64, key: &SigningKey) -> u64 {
        let hybrid = Hybrid { z_threshold, ..Hybrid::default() };
        let bundle = Bundle::candidate(&hybrid, Origin { model: "m".to_owned(), ..Origin::default() });
        let candidate = self.registry.publish(&bundle, 0).await.unwrap();
        self.registry
            .promote(candidate, Promotion { key, reason: "test", evaluation: None, beside: None, now_ms: 1 })
            .await
            .unwrap()
    }

    fn serving(&self) -> u64 {
        self.slot.handle().current().number
    }

    fn refused(&self, reason: &'static str) -> u64 {
        self.metrics.refused.get_or_create(&Reason { reason }).get()
    }
}

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

#[tokio::test]
async fn a_promoted_model_serves_and_is_kept_for_the_next_start() {
    let world = World::new();
    let mut watcher = world.watcher();
    assert_eq!(watcher.look().await.unwrap(), Outcome::Unchanged);
    world.promote(4.0, &world.key).await;
    assert_eq!(watcher.look().await.unwrap(), Outcome::Swapped(1));
    assert_eq!(watcher.look().await.unwrap(), Outcome::Unchanged);
    assert_eq!((world.serving(), world.metrics.swaps.get()), (1, 1));
    let local = Local::open(world.folder.path()).unwrap();
    let first = boot(Some(&local), "m", &world.following(), &world.metrics);
    assert_eq!((first.number, first.source.name()), (1, "local"));
}

#[tokio::test]
async fn c3_a_model_of_a_stranger_is_refused_once_and_not_asked_for_again() {
    let world = World::new();
    let mut watcher = world.watcher();
    let stranger = SigningKey::from_pem(&SigningKey::generate_pem().unwrap()).unwrap();
    world.promote(4.0, &stranger).await;
    let refused = watcher.look().await.unwrap_err();
    assert!(matches!(refused, WatchError::Refused(Refusal::UnknownKey(_))), "{refused}");
    assert_eq!(watcher.look().await.unwrap(), Outcome::Unchanged);
    assert_eq!((world.serving(), world.refused("unknown_key")), (0, 1));
    // The next one is ours: it is taken up all the same.
    world.promote(5.0, &world.key).await;
    assert_eq!(watcher.look().await.unwrap(), Outcome::Swapped(2));
}

#[tokio::test]
async fn c3_a_replayed_older_model_is_refused_also_after_a_restart() {
    let world = World::new();
    world.promote(4.0, &world.key).await;
    world.promote(5.0, &world.key).await;
    assert_eq!(world.watcher().look().await.unwrap(), Outcome::Swapped(2));
    // Somebody who can write into the store, and has no key, points back.
    let pointer = name("models/m/champion");
    let crate::model::store::Got::Found(_, etag) = world.store.get(&pointer, 100, None).await.unwrap() else {
        panic!("a pointer")
    };
    world.store.put(&pointer, Bytes::from_static(b"1"), When::Unchanged(&etag)).await.unwrap();
    let refused = world.watcher().look().await.unwrap_err();
    assert!(matches!(refused, WatchError::Refused(Refusal::Older { version: 1, newest: 2 })), "{refused}");
    assert_eq!((world.serving(), world.refused("older")), (2, 1));
}

#[tokio::test]
async fn c9_a_wanted_rollback_is_followed() {
    let world = World::new();
    let mut watcher = world.watcher();
    world.promote(4.0, &world.key).await;
    world.promote(5.0, &world.key).await;
    watcher.look().await.unwrap();
    let back = Promotion { key: &world.key, reason: "back", evaluation: None, beside: None, now_ms: 2 };
    world.registry.roll_back(1, &world.following().trust, back).await.unwrap();
    assert_eq!(watcher.look().await.unwrap(), Outcome::Swapped(3));
    let current = world.slot.handle().current();
    let crate::detect::Detector::Hybrid(hybrid) = &current.detector else { panic!("a hybrid") };
    assert_eq!(hybrid.z_threshold, 4.0);
}

#[tokio::test]
async fn c2_whatever_of_a_model_is_not_there_yet_the_old_one_serves() {
    let whole = World::new();
    whole.promote(4.0, &whole.key).await;
    let objects = whole.store.list(&name("models")).await.unwrap().into_iter();
    let objects: Vec<_> = objects.chain(whole.store.list(&name("blobs")).await.unwrap()).collect();
    for missing in objects.iter().filter(|object| !object.as_str().contains("/log/")) {
        let mut world = World::new();
        world.key = SigningKey::from_pem(&SigningKey::generate_pem().unwrap()).unwrap();
        for object in objects.iter().filter(|object| *object != missing) {
            let crate::model::store::Got::Found(bytes, _) =
                whole.store.get(object, 1 << 20, None).await.unwrap()
            else {
                panic!("{object}")
            };
            world.store.put(object, bytes, When::Absent).await.unwrap();
        }
        let following = Following { trust: whole.following().trust, ..world.following() };
        let mut watcher = Watcher { following, ..world.watcher() };
        let needed = !missing.as_str().contains("/candidates/");
        let looked = watcher.look().await;
        assert_eq!(world.serving(), u64::from(!needed), "{missing}: {looked:?}");
        // Once it is there it is taken up, since nothing was refused.
        let crate::model::store::Got::Found(bytes, _) =
            whole.store.get(missing, 1 << 20, None).await.unwrap()
        else {
            panic!("{missing}")
        };
        world.store.put(missing, bytes, When::Absent).await.unwrap();
        watcher.look().await.unwrap();
        assert_eq!(world.serving(), 1, "{missing}");
    }
}

#[tokio::test]
async fn f20_a_full_disk_costs_the_next_start_its_model_and_not_this_one() {
    let world = World::new();
    world.promote(4.0, &world.key).await;
    let mut watcher = world.watcher();
    // A file stands where the folder of the version is to be.
    std::fs::write(world.folder.path().join("v1~unfinished"), "").unwrap();
    std::fs::create_dir(world.folder.path().join("v1.~unfinished")).unwrap();
    std::fs::write(world.folder.path().join("v1"), "").unwrap();
    assert_eq!(watcher.look().await.unwrap(), Outcome::Swapped(1));
    assert_eq!(world.serving(), 1);
}

#[tokio::test]
async fn a_pinned_version_is_not_followed_away_from() {
    let world = World::new();
    world.promote(4.0, &world.key).await;
    world.watcher().look().await.unwrap();
    Local::open(world.folder.path()).unwrap().pin(Some(1)).unwrap();
    world.promote(5.0, &world.key).await;
    assert_eq!(world.watcher().look().await.unwrap(), Outcome::Pinned(1));
    assert_eq!(world.serving(), 1);
}

#[tokio::test]
async fn a_version_that_is_pinned_while_it_runs_holds_from_the_next_look_on() {
    let world = World::new();
    let mut watcher = world.watcher();
    world.promote(4.0, &world.key).await;
    watcher.look().await.unwrap();
    Local::open(world.folder.path()).unwrap().pin(Some(1)).unwrap();
    world.promote(5.0, &world.key).await;
    assert_eq!(watcher.look().await.unwrap(), Outcome::Pinned(1));
    assert_eq!((world.serving(), world.metrics.pinned.get()), (1, 1));
    Local::open(world.folder.path()).unwrap().pin(None).unwrap();
    assert_eq!(watcher.look().await.unwrap(), Outcome::Swapped(2));
    assert_eq!((world.metrics.wanted.get(), world.metrics.pinned.get()), (2, 0));
}

#[tokio::test]
async fn a_blob_that_was_not_copied_yet_is_fetched_again() {
    let world = World::new();
    let mut watcher = world.watcher();
    world.promote(4.0, &world.key).await;
    let blob = world.store.list(&name("blobs")).await.unwrap().remove(0);
    let crate::model::store::Got::Found(whole, etag) = world.store.get(&blob, 1 << 20, None).await.unwrap()
    else {
        panic!("a blob")
    };
    let mut other = whole.to_vec();
    other[0] ^= 1;
    let other = world.store.put(&blob, other.into(), When::Unchanged(&etag)).await.unwrap();
    for refused in 1..=2 {
        let error = watcher.look().await.unwrap_err();
        assert!(matches!(error, WatchError::Refused(Refusal::Hash(_))), "{error}");
        assert_eq!((world.serving(), world.refused("hash")), (0, refused));
    }
    world.store.put(&blob, whole, When::Unchanged(&other)).await.unwrap();
    assert_eq!(watcher.look().await.unwrap(), Outcome::Swapped(1));
}

#[tokio::test]
async fn a_store_that_has_lost_its_champion_is_no_good_look() {
    let world = World::new();
    world.promote(4.0, &world.key).await;
    world.watcher().look().await.unwrap();
    let checked = world.metrics.checked.get();
    assert_eq!(checked, 1.0);
    let empty = Registry::new(Store::Memory(MemoryStore::default()), "m", 1 << 20).unwrap();
    let mut watcher = Watcher { registry: empty, ..world.watcher() };
    watcher.following.clock = || 9_000;
    assert!(matches!(watcher.look().await.unwrap_err(), WatchError::Lost));
    assert_eq!(world.metrics.checked.get(), checked);
    assert_eq!(world.metrics.store_errors.get_or_create(&Reason { reason: "lost" }).get(), 1);
}

#[tokio::test]
async fn c8_a_model_that_does_not_do_well_goes_back_and_does_not_come_again() {
    let world = World::new();
    let mut watcher = world.watcher();
    world.promote(4.0, &world.key).await;
    watcher.look().await.unwrap();
    watcher.heed();
    // Its time is over, and nothing was wrong with it.
    watcher.bake = Bake::new(watcher.following.bake);
    world.promote(5.0, &world.key).await;
    assert_eq!(watcher.look().await.unwrap(), Outcome::Swapped(2));
    assert_eq!((world.serving(), world.metrics.baking.get()), (2, 1));
    let mut tally = Tally::default();
    tally.not_finite = 1;
    world.totals.add(&tally);
    watcher.heed();
    let rollbacks = world.metrics.rollbacks.get_or_create(&Reason { reason: "not_finite" }).get();
    assert_eq!((world.serving(), world.metrics.baking.get(), rollbacks), (1, 0, 1));
    assert_eq!(watcher.look().await.unwrap(), Outcome::Unchanged);

    // Not after a restart, and not under another number.
    let local = Local::open(world.folder.path()).unwrap();
    let first = boot(Some(&local), "m", &world.following(), &world.metrics);
    assert_eq!(first.number, 1);
    world.slot.swap(first);
    let mut watcher = world.watcher();
    assert!(matches!(watcher.look().await.unwrap_err(), WatchError::Quarantined(Quarantined(2))));
    assert_eq!(watcher.look().await.unwrap(), Outcome::Unchanged);
    let back = Promotion { key: &world.key, reason: "again", evaluation: None, beside: None, now_ms: 2 };
    world.registry.roll_back(2, &world.following().trust, back).await.unwrap();
    assert!(matches!(watcher.look().await.unwrap_err(), WatchError::Quarantined(Quarantined(3))));
    assert_eq!((world.serving(), world.refused("quarantined")), (1, 2));

    // Until somebody lets it.
    Local::open(world.folder.path()).unwrap().lift_quarantine().unwrap();
    let mut watcher = world.watcher();
    assert_eq!(watcher.look().await.unwrap(), Outcome::Swapped(3));
}

#[tokio::test]
async fn c8_the_first_model_of_a_store_goes_back_to_the_built_in_one() {
    let world = World::new();
    let mut watcher = Watcher { local: None, ..world.watcher() };
    world.promote(4.0, &world.key).await;
    watcher.look().await.unwrap();
    let mut tally = Tally::default();
    tally.not_finite = 1;
    world.totals.add(&tally);
    watcher.heed();
    assert_eq!((world.serving(), world.slot.handle().current().source.name()), (0, "builtin"));
    let mut watcher = Watcher { known: None, ..watcher };
    assert!(matches!(watcher.look().await.unwrap_err(), WatchError::Quarantined(_)));
}
