// Package web is tocsin's HTTP face: the Prometheus API v1, the doors of the push protocols, Alertmanager's API v2, the
// life-cycle endpoints, and a status page that needs no scripts.
//
// It resolves the tenant of a request, guards what browsers can reach, and hands the rest to the rooms that know.
// It must not know how samples are decoded, how rules are evaluated, how notifications are routed, or where the
// configuration comes from: those arrive as handles and functions in Options and Tenant.
//
// Everything here is bounded: connections, header bytes, time to read a request, rows on a page, and the time that
// Shutdown may take.
package web
