// Package threshold answers many comparisons of one column with constants at once, lane by lane, at a cost that depends on
// what changes and not on how many comparisons there are.
//
// The sorted distinct constants cut the numbers into slots: the constants themselves and the open intervals between them.
// All numbers of a slot compare alike with all constants. The index remembers each lane's slot and the least and the
// greatest number in it, so that most lanes are done with two comparisons, whatever the number of lines. A lane that comes
// into another slot changes exactly those lines whose constants it passed, which stand side by side in an array sorted by
// where they change; lanes of one word that pass the same line change it in one step.
//
// It must not know series, expressions or time. Nothing here is safe for concurrent use.
package threshold
