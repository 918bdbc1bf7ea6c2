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
    registry.promote(candidate, Promotion { key, reason: "better", now_ms: 5 }).await.unwrap()
}

#[tokio::test]
async fn a_candidate_is_nobodys_until_it_is_promoted() {
    let (registry, key) = (registry(), key());
    let name = registry.publish(&candidate(5.0), 0).await.unwrap();
    assert_eq!(registry.publish(&candidate(5.0), 0).await.unwrap(), name);
    assert_eq!(registry.candidates().await.unwrap(), [name.to_string()]);
    assert_eq!((registry.champion().await.unwrap(), registry.versions().await.unwrap()), (None, vec![]));

    let version = registry.promote(name, Promotion { key: &key, reason: "good", now_ms: 5 }).await.unwrap();
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
    let back = Promotion { key: &key, reason: "alerts too often", now_ms: 9 };
    assert_eq!(registry.roll_back(1, back).await.unwrap(), 3);
    assert_eq!(registry.champion().await.unwrap(), Some(3));
    let (first, third) = (registry.version(1).await.unwrap(), registry.version(3).await.unwrap());
    assert_eq!(first.manifest.files, third.manifest.files);
    let parent = Parent { version: 1, sha256: first.sha256() };
    assert_eq!(third.manifest.parent, Some(parent));
    let log = registry.log().await.unwrap();
    assert_eq!((log[2].returns_to, log[2].before), (Some(1), Some(2)));
    let absent = registry.roll_back(7, back).await.unwrap_err();
    assert!(matches!(absent, RegistryError::Absent(_)), "{absent}");
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
            registry.promote(candidate, Promotion { key: &key, reason: "mine", now_ms: 1 }).await.unwrap()
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
    assert!(matches!(registry.candidate("x").await.unwrap_err(), RegistryError::Absent(_)));
}
