use super::*;
use crate::detect::Hybrid;
use crate::model::bundle::Origin;
use crate::model::store::MemoryStore;

fn registry() -> Registry {
    Registry::new(Store::Memory(MemoryStore::default()), "m", 1 << 20).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_pem(&SigningKey::generate_pem().unwrap()).unwrap()
}

/// A candidate that differs from others by its z-threshold.
fn candidate(z_threshold: f64) -> Bundle {
    let hybrid = Hybrid { z_threshold, ..Hybrid::default() };
    Bundle::candidate(&hybrid, Origin { model: "m".to_owned(), ..Origin::default() })
}

async fn promote(registry: &Registry, key: &SigningKey, z_threshold: f64) -> u64 {
    let candidate = registry.publish(&candidate(z_threshold), 0).await.unwrap();
    registry
        .promote(candidate, Promotion { key, reason: "better", evaluation: None, beside: None, now_ms: 5 })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_candidate_is_nobodys_until_it_is_promoted() {
    let (registry, key) = (registry(), key());
    let name = registry.publish(&candidate(5.0), 0).await.unwrap();
    assert_eq!(registry.publish(&candidate(5.0), 0).await.unwrap(), name);
    assert_eq!(registry.candidates().await.unwrap(), [name.to_string()]);
    assert_eq!((registry.champion().await.unwrap(), registry.versions().await.unwrap()), (None, vec![]));

    let version = registry
        .promote(name, Promotion { key: &key, reason: "good", evaluation: None, beside: None, now_ms: 5 })
        .await
        .unwrap();
    assert_eq!((version, registry.champion().await.unwrap()), (1, Some(1)));
    let bundle = registry.version(1).await.unwrap();
    let trust = Trust::new([key.public()], []);
    assert_eq!(bundle.check(&registry.measure(&trust, 0)).unwrap().number, 1);
    let entry = Entry {
        version: 1,
        at_ms: 5,
        key_id: key.public().id().to_string(),
        candidate: Some(name.to_string()),
        returns_to: None,
        before: None,
        evaluation: None,
        episode: None,
        reason: "good".to_owned(),
    };
    assert_eq!(registry.log().await.unwrap(), [entry]);
}

#[tokio::test]
async fn what_could_not_serve_is_not_published() {
    let mut bundle = candidate(5.0);
    bundle.blobs.values_mut().for_each(|blob| blob.clear());
    let refused = registry().publish(&bundle, 0).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Refused(Refusal::Hash(_))), "{refused}");
    let other = Registry::new(Store::Memory(MemoryStore::default()), "n", 1 << 20).unwrap();
    let refused = other.publish(&candidate(5.0), 0).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Refused(Refusal::OtherModel(_))), "{refused}");
}

#[tokio::test]
async fn c9_to_go_back_is_a_newer_version_of_old_blobs() {
    let (registry, key) = (registry(), key());
    promote(&registry, &key, 4.0).await;
    promote(&registry, &key, 5.0).await;
    let trust = Trust::new([key.public()], []);
    let back = Promotion { key: &key, reason: "alerts too often", evaluation: None, beside: None, now_ms: 9 };
    assert_eq!(registry.roll_back(1, &trust, back).await.unwrap(), 3);
    assert_eq!(registry.champion().await.unwrap(), Some(3));
    let (first, third) = (registry.version(1).await.unwrap(), registry.version(3).await.unwrap());
    assert_eq!(first.manifest.files, third.manifest.files);
    let parent = Parent { version: 1, sha256: first.sha256() };
    assert_eq!(third.manifest.parent, Some(parent));
    let log = registry.log().await.unwrap();
    assert_eq!((log[2].returns_to, log[2].before), (Some(1), Some(2)));
    let absent = registry.roll_back(7, &trust, back).await.unwrap_err();
    assert!(matches!(absent, RegistryError::NoVersion(7)), "{absent}");
}

#[tokio::test]
async fn of_many_who_promote_at_once_each_gets_a_version_of_its_own() {
    let registry = registry();
    let names = [registry.publish(&candidate(4.0), 0).await, registry.publish(&candidate(5.0), 0).await];
    let [one, other] = names.map(Result::unwrap);
    let promotions = [one, other].map(|candidate| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let key = key();
            registry
                .promote(
                    candidate,
                    Promotion { key: &key, reason: "mine", evaluation: None, beside: None, now_ms: 1 },
                )
                .await
                .unwrap()
        })
    });
    let mut versions = Vec::new();
    for promotion in promotions {
        versions.push(promotion.await.unwrap());
    }
    versions.sort_unstable();
    assert_ne!(versions[0], versions[1]);
    assert_eq!(registry.champion().await.unwrap(), Some(versions[1]));
}

#[tokio::test]
async fn candidates_are_found_by_their_first_digits() {
    let registry = registry();
    let name = registry.publish(&candidate(4.0), 0).await.unwrap().to_string();
    let start: String = name.chars().take(8).collect();
    assert_eq!(registry.candidate(&start).await.unwrap().sha256().to_string(), name);
    registry.publish(&candidate(5.0), 0).await.unwrap();
    assert!(matches!(registry.candidate("").await.unwrap_err(), RegistryError::Ambiguous(2, _)));
    assert!(matches!(registry.candidate("x").await.unwrap_err(), RegistryError::NoCandidate(_)));
}

/// Puts `content` where `at` is, as somebody does who can write into the store and has no key.
async fn overwrite(registry: &Registry, at: &str, content: Vec<u8>) {
    let name = ObjectName::parse(at).unwrap();
    let Got::Found(_, etag) = registry.store.get(&name, 1 << 20, None).await.unwrap() else { panic!("{at}") };
    registry.store.put(&name, content.into(), When::Unchanged(&etag)).await.unwrap();
}

#[tokio::test]
async fn a_candidate_that_was_swapped_after_it_was_looked_at_is_not_signed() {
    let (registry, key) = (registry(), key());
    let looked_at = registry.publish(&candidate(4.0), 0).await.unwrap();
    let other = registry.publish(&candidate(5.0), 0).await.unwrap();
    overwrite(&registry, &format!("models/m/candidates/{looked_at}"), candidate(5.0).signed).await;
    let promotion = Promotion { key: &key, reason: "good", evaluation: None, beside: None, now_ms: 5 };
    let refused = registry.promote(looked_at, promotion).await.unwrap_err();
    assert!(matches!(&refused, RegistryError::Swapped { found, .. } if *found == other), "{refused}");
    let start: String = looked_at.to_string().chars().take(8).collect();
    assert!(matches!(registry.candidate(&start).await.unwrap_err(), RegistryError::Swapped { .. }));
    assert_eq!((registry.champion().await.unwrap(), registry.versions().await.unwrap()), (None, vec![]));
}

#[tokio::test]
async fn a_version_that_was_swapped_since_is_not_signed_by_going_back_to_it() {
    let (registry, stranger) = (registry(), key());
    let key = key();
    for z_threshold in [4.0, 5.0, 6.0] {
        promote(&registry, &key, z_threshold).await;
    }
    let trust = Trust::new([key.public()], []);
    let back = Promotion { key: &key, reason: "back", evaluation: None, beside: None, now_ms: 9 };
    let first = "models/m/versions/00000000000000000001";
    let signed_once = registry.version(2).await.unwrap().signed;
    let mut manifest = registry.version(1).await.unwrap().manifest;
    manifest.lineage.insert("who".to_owned(), "a stranger".to_owned());
    let forged = Bundle::of(manifest.clone(), Blobs::new(), Some(&stranger)).signed;
    let unsigned = Bundle::of(manifest, Blobs::new(), None).signed;
    for content in [forged, unsigned] {
        overwrite(&registry, first, content).await;
        let refused = registry.roll_back(1, &trust, back).await.unwrap_err();
        assert!(matches!(refused, RegistryError::Refused(_)), "{refused}");
    }
    // Another version that we have signed is not this one either.
    overwrite(&registry, first, signed_once).await;
    let refused = registry.roll_back(1, &trust, back).await.unwrap_err();
    assert!(matches!(refused, RegistryError::OtherVersion(1)), "{refused}");
    assert_eq!(registry.champion().await.unwrap(), Some(3));
}

#[tokio::test]
async fn a_version_of_the_largest_number_is_told_and_not_counted_beyond() {
    let (registry, key) = (registry(), key());
    let largest = ObjectName::parse(&format!("models/m/versions/{}", u64::MAX)).unwrap();
    registry.store.put(&largest, Bytes::new(), When::Absent).await.unwrap();
    let name = registry.publish(&candidate(4.0), 0).await.unwrap();
    let refused = registry
        .promote(name, Promotion { key: &key, reason: "good", evaluation: None, beside: None, now_ms: 5 })
        .await
        .unwrap_err();
    assert!(matches!(refused, RegistryError::NoNumber), "{refused}");
}

#[tokio::test]
async fn the_log_says_which_anomaly_led_to_a_version_and_what_a_return_returns_to() {
    let (registry, key) = (registry(), key());
    promote(&registry, &key, 4.0).await;
    let mut bundle = candidate(5.0);
    bundle.manifest.lineage.insert(EPISODE.to_owned(), "e-42".to_owned());
    let led = registry.publish(&Bundle::of(bundle.manifest, bundle.blobs, None), 0).await.unwrap();
    let promotion = Promotion { key: &key, reason: "after e-42", evaluation: None, beside: None, now_ms: 6 };
    assert_eq!(registry.promote(led, promotion).await.unwrap(), 2);
    let trust = Trust::new([key.public()], []);
    for (to, version) in [(1, 3), (2, 4), (4, 5)] {
        assert_eq!(registry.roll_back(to, &trust, promotion).await.unwrap(), version);
    }
    let log = registry.log().await.unwrap();
    let episodes: Vec<_> = log.iter().map(|entry| entry.episode.as_deref()).collect();
    assert_eq!(episodes, [None, Some("e-42"), None, Some("e-42"), Some("e-42")]);
    assert_eq!(promoted(&log, 5), Some(led.to_string().as_str()));
    assert_eq!(promoted(&log, 3), log[0].candidate.as_deref());
    assert_eq!(promoted(&log, 9), None);
}

#[test]
fn a_line_of_a_log_before_there_were_episodes_is_read() {
    let line = r#"{"version":1,"atMs":5,"keyId":"k","candidate":"c","reason":"r"}"#;
    let entry: Entry = serde_json::from_str(line).unwrap();
    assert_eq!((entry.episode.as_deref(), serde_json::to_string(&entry).unwrap().as_str()), (None, line));
}
