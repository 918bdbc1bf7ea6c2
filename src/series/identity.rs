//! Who a series is, whichever of several did the same work before it.

use super::labels::SeriesLabels;
use super::scopes::Scope;
use crate::batch::Key;

/// Labels that hold the name of a pod.
const POD_NAMES: [&str; 4] = ["pod", "pod_name", "kubernetes_pod_name", "k8s_pod_name"];
/// The alphabet of generated parts of names: no vowels, and nothing that looks like one
/// (`k8s.io/apimachinery/pkg/util/rand`).
const GENERATED: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// The length of the part that tells the pods of one controller apart.
const POD_PART: usize = 5;
/// How long the hash of a pod's template is: 32 bits in decimal, each digit spelled in the alphabet above. Shorter
/// ones are one in ten thousand, and might be words.
const TEMPLATE_PART: std::ops::RangeInclusive<usize> = 6..=10;

/// The key of the series of `scope` that `rule` takes for one and the same as that of `labels`: equal but for those
/// called as in `without`. Of a pod's name what its controller did not generate counts in any case, so that the
/// containers of one name in two deployments are two. It means nothing to another process.
pub fn identity(scope: &Scope, rule: &str, labels: &SeriesLabels, without: &[String]) -> Key {
    let kept = labels.scored().filter_map(|(name, value)| {
        if !without.iter().any(|label| label == name) {
            return Some((name, value));
        }
        POD_NAMES.contains(&name).then(|| (name, chosen_part(value)))
    });
    let mut kept: Vec<_> = kept.collect();
    kept.sort_unstable();
    // No label is called by the empty name.
    scope.canonical_key(std::iter::once(("", rule)).chain(kept))
}

/// A number that follows from `labels` alone, in this process and in any other.
pub fn fingerprint(labels: &SeriesLabels) -> u64 {
    let mut sorted: Vec<_> = labels.scored().collect();
    sorted.sort_unstable();
    let mut bytes = Vec::with_capacity(256);
    for text in sorted.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

/// What a person chose of a pod's name: `api` of a Deployment's `api-7d9f8b6c5-x2x9z`, `agent` of a DaemonSet's
/// `agent-k7x2p`, all of a StatefulSet's `db-0`, which keeps its name.
fn chosen_part(pod: &str) -> &str {
    let Some((set, part)) = pod.rsplit_once('-') else { return pod };
    if part.len() != POD_PART || !is_generated(part) {
        return pod;
    }
    match set.rsplit_once('-') {
        Some((name, part)) if TEMPLATE_PART.contains(&part.len()) && is_generated(part) => name,
        _ => set,
    }
}

fn is_generated(part: &str) -> bool {
    part.bytes().all(|byte| GENERATED.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::labels::{Interner, METRIC_NAME};
    use crate::series::{ScopeLimits, ScopeName, Scopes};

    #[test]
    fn what_a_person_chose_of_a_pods_name_is_told_from_what_was_generated() {
        let check = |pod: &str, want: &str| assert_eq!(chosen_part(pod), want, "{pod}");
        check("api-7d9f8b6c5-x2x9z", "api");
        check("web-shop-66b5d8c9df-4bz7k", "web-shop");
        check("node-exporter-k7x2p", "node-exporter");
        check("my-backend-k7x2p", "my-backend");
        check("db-0", "db-0");
        check("db-12345", "db-12345");
        check("coredns", "coredns");
        check("kube-apiserver-master", "kube-apiserver-master");
        check("-x2x9z", "");
        check("", "");
    }

    #[test]
    fn an_identity_is_of_one_scope_one_rule_and_one_workload() {
        let scopes = Scopes::new(7);
        let scope = |name: &str| {
            scopes.get(&ScopeName::Tenant(name.into()), 0, &ScopeLimits::default()).expect("room")
        };
        let of = |tenant: &str, rule: &str, pod: &str, container: &str| {
            let pairs = [(METRIC_NAME, "cpu"), ("pod", pod), ("container", container)];
            let labels = SeriesLabels::of_scored(&pairs, &Interner::default());
            identity(&scope(tenant), rule, &labels, &["pod".to_owned(), "instance".to_owned()])
        };
        let one = of("a", "r", "api-7d9f8b6c5-x2x9z", "proxy");
        assert_eq!(one, of("a", "r", "api-66b5d8c9df-4bz7k", "proxy"));
        for other in [
            of("b", "r", "api-7d9f8b6c5-x2x9z", "proxy"),
            of("a", "s", "api-7d9f8b6c5-x2x9z", "proxy"),
            of("a", "r", "web-7d9f8b6c5-x2x9z", "proxy"),
            of("a", "r", "api-7d9f8b6c5-x2x9z", "app"),
        ] {
            assert_ne!(one, other);
        }
    }
}
