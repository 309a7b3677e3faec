// Package mail sends mails: as the target of a subscription, one for each event, and for handlers of a program, which decide
// themselves what there is to say. docs/targets.md has what operators need to know.
//
// A Mailer is what a process sends mails with. It has the mail server of the process and the files with templates. An attempt makes
// a connection, on which all mails of its batch are sent, and closes it.
//
// The Message-ID is made of the message id of the event and the name of the subscription: a mail that is sent again, for a process
// died before it had noted that it was taken, has the one that it had, and the rest is the same too.
package mail
