use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why an address is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is link-local, a cloud's metadata service, or not one machine's.
    #[error("link-local, metadata, multicast and reserved addresses are never called")]
    Always,
    /// It is private or loopback, which is not allowed here.
    #[error("private and loopback addresses are called only with ATTENDANCE_WEBHOOK_ALLOW_PRIVATE=true")]
    Private,
}

/// Says which addresses may be called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) allow_private: bool,
}

impl Policy {
    /// Returns the address if it may be called.
    pub(crate) fn check(self, ip: IpAddr) -> Result<IpAddr, Refused> {
        let kind = match ip {
            IpAddr::V4(ip) => kind_v4(ip),
            IpAddr::V6(ip) => kind_v6(ip),
        };
        match kind {
            Kind::Public => Ok(ip),
            Kind::Private if self.allow_private => Ok(ip),
            Kind::Private => Err(Refused::Private),
            Kind::Never => Err(Refused::Always),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    Never,
}

/// The kind of an address by IANA's special-purpose registry, with the metadata services outside 169.254/16: Azure's
/// 168.63.129.16, Alibaba's 100.100.100.200, Oracle's 192.0.0.192.
fn kind_v4(ip: Ipv4Addr) -> Kind {
    match ip.octets() {
        [0 | 224..=255, ..] | [169, 254, ..] | [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => {
            Kind::Never
        }
        [10 | 127, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [100, 64..=127, ..]
        | [198, 18 | 19, ..]
        | [192, 0, 0 | 2, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Kind::Private,
        _ => Kind::Public,
    }
}

fn kind_v6(ip: Ipv6Addr) -> Kind {
    if let Some(inner) = embedded(ip) {
        return kind_v4(inner);
    }
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Private,
        // Unspecified and IPv4-compatible; link-local; multicast; AWS's metadata and DNS; Google's and Scaleway's metadata.
        [0, 0, 0, 0, 0, 0, ..] | [0xfe80..=0xfebf, ..] | [0xff00..=0xffff, ..] | [0xfd00, 0x0ec2, ..] => Kind::Never,
        [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254] | [0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042] => Kind::Never,
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] | [0x2001, 0x0db8, ..] => Kind::Private,
        // Discard-only, documentation, segment routing.
        [0x0100, 0, 0, 0, ..] | [0x3fff, 0..=0x0fff, ..] | [0x5f00, ..] => Kind::Private,
        _ => Kind::Public,
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, translated (SIIT, NAT64 by its well-known and its local prefix) or
/// tunnelled (6to4, and Teredo, which inverts its bits).
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x0064, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(from(high, low)),
        [0x2001, 0, _, _, _, _, high, low] => Some(from(!high, !low)),
        _ => None,
    }
}

/// Resolves names as the system does, and returns only addresses that may be called. The client connects to what was
/// checked, whatever the name resolves to a moment later.
pub(crate) struct Resolver(pub(crate) Policy);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.iter().copied().filter(|address| policy.check(address.ip()).is_ok()).collect();
            if allowed.is_empty()
                && let Some(Err(refused)) = found.first().map(|address| policy.check(address.ip()))
            {
                return Err(refused.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ip: &str, allow_private: bool) -> Result<(), Refused> {
        Policy { allow_private }.check(ip.parse().expect(ip)).map(drop)
    }

    #[test]
    fn link_local_metadata_and_the_like_are_never_called() {
        for ip in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "64:ff9b:1::a9fe:a9fe",
            "::ffff:0:a9fe:a9fe",
            "2001::5601:5601",
            "fd00:42::42",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            assert_eq!((check(ip, true), check(ip, false)), (Err(Refused::Always), Err(Refused::Always)), "{ip}");
        }
    }

    #[test]
    fn private_addresses_are_called_only_if_allowed() {
        for ip in [
            "127.0.0.1",
            "127.255.0.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "64:ff9b::7f00:1",
        ] {
            assert_eq!((check(ip, true), check(ip, false)), (Ok(()), Err(Refused::Private)), "{ip}");
        }
    }

    #[test]
    fn public_addresses_are_called() {
        for ip in ["1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "2606:4700::1", "::ffff:8.8.8.8"]
        {
            assert_eq!((check(ip, true), check(ip, false)), (Ok(()), Ok(())), "{ip}");
        }
    }
}
