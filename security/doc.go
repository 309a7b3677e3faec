// Package security decides who may do what: a Principal has roles, each of which permits an Action, and a Scope, which
// is the part of the log that they are for. An Authorizer decides; what is not permitted is denied. The package knows
// neither HTTP nor a database: package tokens keeps what principals are known by.
package security
