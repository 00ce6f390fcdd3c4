//! Which addresses may be connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Addresses that are not of the public Internet, in CIDR notation: what is denied unless the configuration says otherwise.
pub const DEFAULT_DENIED: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "::/127",
    "100::/64",
    "2001:db8::/32",
    "fc00::/7",
    "fe80::/9",
    "ff00::/8",
];

/// Rules for addresses: `allowed` wins over `denied`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRules {
    /// May be connected to although `denied`.
    pub allowed: Vec<IpNet>,
    /// May not be connected to.
    pub denied: Vec<IpNet>,
}

impl Default for AddressRules {
    fn default() -> Self {
        let denied = DEFAULT_DENIED.iter();
        Self {
            allowed: Vec::new(),
            denied: denied.map(|net| net.parse().expect("constants are valid")).collect(),
        }
    }
}

impl AddressRules {
    /// Whether the address may be connected to. An IPv6 address that stands for an IPv4 address is judged by both.
    pub fn permit(&self, address: IpAddr) -> bool {
        let embedded = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => embedded(v6).map(IpAddr::V4),
        };
        self.permit_one(address) && embedded.is_none_or(|embedded| self.permit_one(embedded))
    }

    fn permit_one(&self, address: IpAddr) -> bool {
        let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        within(&self.allowed) || !within(&self.denied)
    }
}

/// The IPv4 address that packets to an IPv6 address end up at: IPv4-mapped and -compatible, NAT64, 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_private_address_is_permitted() {
        let rules = AddressRules::default();
        for denied in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::192.168.0.1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "fe80::1",
            "fec0::1",
            "fd00::1",
            "ff02::1",
        ] {
            assert!(!rules.permit(denied.parse().expect("an address")), "{denied}");
        }
        for permitted in [
            "1.1.1.1",
            "93.184.216.34",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "2002:101:101::",
        ] {
            assert!(rules.permit(permitted.parse().expect("an address")), "{permitted}");
        }
    }

    #[test]
    fn what_is_allowed_wins() {
        let rules = AddressRules {
            allowed: vec!["127.0.0.0/8".parse().expect("a range")],
            ..AddressRules::default()
        };
        assert!(rules.permit("127.0.0.1".parse().expect("an address")));
        assert!(!rules.permit("10.0.0.1".parse().expect("an address")));
        assert!(!rules.permit("::1".parse().expect("an address")));
    }
}
